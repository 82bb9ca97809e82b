"""Minimal pairs: a scene drawn twice with one property changed, and the same question about both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, overload

import numpy as np
from PIL.Image import Image

from ...rewards.pairs import PAIR
from ..problem import Problem
from .example import Example

if TYPE_CHECKING:
    from .world import Split, World

FEWEST_PIXELS = 8
"""Pixels that the change has to reach: a thing that lies under others may change unseen."""


@dataclass(frozen=True)
class ExamplePair:
    """Two examples whose scenes differ in one property; everything else, noise too, is the same."""

    sides: tuple[Example, Example]
    relevant: bool
    """Whether the answer changes."""


def draw_pair(world: World, split: Split, random: Random, relevant: bool) -> ExamplePair:
    """A pair whose images both lie in a split, the side that was drawn first in either place."""
    while True:
        found = world.vary(random)
        state = random.getstate()
        first = found.example(random)
        if not world.lies_in(split, first.image):
            continue
        answers = [(scene, found.answer(scene)) for scene in found.changed()]
        scenes = [
            scene for scene, answer in answers if answer is not None and (answer != first.answer) == relevant
        ]
        for scene in random.sample(scenes, len(scenes)):
            again = Random()
            again.setstate(state)
            second = found.draw(again, scene)
            if world.lies_in(split, second.image) and _seen(first.image, second.image):
                swapped = random.random() < 0.5
                return ExamplePair((second, first) if swapped else (first, second), relevant)


def _seen(one: Image, other: Image) -> bool:
    return int((np.asarray(one) != np.asarray(other)).any(-1).sum()) >= FEWEST_PIXELS


@dataclass(frozen=True)
class PairedProblems(Sequence[Problem]):
    """The problems of `pairs` pairs, a pair's two sides one behind the other; every other pair is relevant.

    Pair number i is drawn, when indexed, from (world, split, stream, i) alone. Both sides have the pair's
    name in the column `pair`, which a reward may read.
    """

    world: World
    split: Split
    stream: str
    pairs: int
    sequential = True
    """To be read in order, so that both sides of a pair come into one batch."""

    def __len__(self) -> int:
        return 2 * self.pairs

    def pair(self, number: int) -> ExamplePair:
        """One pair with everything its drawer knows about it."""
        random = Random(f"{self._name}/{number}")
        return draw_pair(self.world, self.split, random, relevant=number % 2 == 0)

    @property
    def _name(self) -> str:
        return f"{self.world.name}/{self.split}/pairs-{self.stream}"

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> list[Problem]: ...
    def __getitem__(self, index: int | slice) -> Problem | list[Problem]:
        """Draw one side of a pair, or a list of sides."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        number, side = divmod(range(len(self))[index], 2)
        example = self.pair(number).sides[side]
        name = f"{self._name}/{number}"
        return Problem(
            id=f"{name}/{'ab'[side]}",
            question=example.question,
            images=(example.image,),
            answer=str(example.answer),
            kind=example.kind,
            columns={PAIR: name},
        )
