"""The task: an endless supply of training problems and held-out problems that are never among them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from .bars import bar_variations
from .counting import counting_variations
from .example import Example
from .triangles import triangle_variations
from .variations import Variations
from .world import World, WorldTask

_DRAWERS: list[Callable[[Random], Variations]] = [counting_variations, bar_variations, triangle_variations]
_SHARES = [0.5, 0.25, 0.25]


def draw_variations(random: Random) -> Variations:
    """One example before it is drawn: half counting, a quarter bar charts, a quarter triangles."""
    return random.choices(_DRAWERS, _SHARES)[0](random)


def draw_example(random: Random) -> Example:
    """One example of any split."""
    return draw_variations(random).example(random)


SHAPES = World("shapes", draw_variations, held_out=("test",))
"""The first world. Its `dev` lies on the side of `test`, apart from it by the stream of draws alone."""


class ShapesTask(WorldTask):
    """Counting coloured shapes, reading bar charts, and finding angles, in 64x64 images."""

    def __init__(self) -> None:
        super().__init__(SHAPES)
