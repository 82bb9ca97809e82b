"""A scene that is asked about, and everything that one changed property makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from .example import Example


@dataclass(frozen=True)
class Variations:
    """One drawn problem before it is drawn: its scene may be changed while all else stays as it is."""

    scene: Any
    draw: Callable[[Random, Any], Example]
    """The problem of a scene; equal states of the generator give it the same places, shades and words."""
    changed: Callable[[], Iterator[Any]]
    """Every scene that differs from `scene` in one property."""
    answer: Callable[[Any], int | None]
    """The answer of a scene to the same question; None where that question does not fit."""

    def example(self, random: Random) -> Example:
        """The problem of the scene as it is."""
        return self.draw(random, self.scene)
