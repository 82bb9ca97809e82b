"""Levels of difficulty: how crowded the images are, how much of the answer the question gives away."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

FIRST_LEVEL = 2
"""The level that the task's name alone means; the first world is level 1."""


@dataclass(frozen=True)
class Difficulty:
    """The settings of one level of difficulty."""

    number: int
    groups: int
    """Groups of objects that are counted, beside the tag that is read last."""
    others: tuple[int, int]
    """Fewest and most objects that are not counted, where the image has room."""
    radius: tuple[float, float]
    """Smallest and largest object, in pixels."""
    wander: float
    """How far an object may stand from the middle of its cell, in pixels; it then covers its neighbours."""
    asked: int
    """Bars or dials that are read."""
    slack: float
    """How far a dial's hand may stand from its hour, in degrees; 15 is half an hour."""
    speckle: int
    """Largest change of a channel of a pixel by noise, of 255."""
    prior: float | None
    """Share of images in which every asked value is the usual one; None: all values are equally likely."""

    def value(self, random: Random, usual: int, values: range, facts: int) -> int:
        """A value for one of `facts` facts: the usual one so often that all of them are by `prior`."""
        if self.prior is None:
            return random.choice(values)
        if random.random() < self.prior ** (1 / facts):
            return usual
        return random.choice([value for value in values if value != usual])


LEVELS = {
    level.number: level
    for level in (
        Difficulty(2, 3, (2, 5), (3.2, 6.8), 3.5, 3, 8.0, 6, 0.33),
        Difficulty(3, 3, (3, 6), (2.8, 7.0), 4.5, 4, 11.0, 14, 0.33),
        Difficulty(4, 4, (3, 6), (2.4, 7.4), 6.0, 4, 13.5, 24, 0.33),
    )
}
