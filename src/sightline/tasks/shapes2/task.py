"""The task: Shapes-2 in its levels, and the even world that its model learns to see in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random

import numpy as np
from PIL import Image

from ...errors import UserError
from ..shapes.world import World, WorldTask
from .charts import chart_example
from .dials import dial_example
from .difficulty import FIRST_LEVEL, LEVELS, Difficulty
from .example import PuzzleExample
from .objects import object_example

NAME = "shapes-2"

_DRAWERS: list[Callable[[Random, Difficulty], PuzzleExample]] = [object_example, chart_example, dial_example]
_SHARES = [0.4, 0.3, 0.3]


def _speckled(random: Random, image: Image.Image, speckle: int) -> Image.Image:
    """The image with independent noise on every channel of every pixel."""
    noise = np.random.default_rng(random.getrandbits(64)).integers(-speckle, speckle + 1, (*image.size, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def draw_puzzle(level: Difficulty, random: Random) -> PuzzleExample:
    """One example of any split: two fifths objects, three tenths charts, three tenths dials."""
    example = random.choices(_DRAWERS, _SHARES)[0](random, level)
    return replace(example, image=_speckled(random, example.image, level.speckle))


def world_of(level: Difficulty) -> World:
    """The world of a level; the first level bears the plain name."""
    even = "" if level.prior is not None else ":even"
    name = NAME if level.number == FIRST_LEVEL else f"{NAME}:{level.number}"
    return World(name + even, partial(draw_puzzle, level))


SHAPES_2 = world_of(LEVELS[FIRST_LEVEL])

EVEN = world_of(replace(LEVELS[FIRST_LEVEL], prior=None))
"""Level 2 with all values equally likely: nothing can be guessed, so a model that learns here must look."""


class Shapes2Task(WorldTask):
    """Counting objects that cover each other, charts with a legend, dials; long reasoning in many words."""

    def __init__(self, level: int = FIRST_LEVEL) -> None:
        if level not in LEVELS:
            raise UserError(f"shapes-2 has the levels {', '.join(map(str, LEVELS))}; got {level}")
        super().__init__(world_of(LEVELS[level]))
