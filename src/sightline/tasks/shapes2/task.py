"""The task: Shapes-2 in its levels, and the even world that its model learns to see in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from ...errors import UserError
from ..shapes.example import Example
from ..shapes.variations import Variations
from ..shapes.world import World, WorldTask
from .charts import chart_variations
from .dials import dial_variations
from .difficulty import FIRST_LEVEL, LEVELS, Difficulty
from .objects import object_variations

NAME = "shapes-2"

_DRAWERS: list[Callable[[Random, Difficulty], Variations]] = [
    object_variations,
    chart_variations,
    dial_variations,
]
_SHARES = [0.4, 0.3, 0.3]


def _speckled(random: Random, image: Image.Image, speckle: int) -> Image.Image:
    """The image with independent noise on every channel of every pixel."""
    noise = np.random.default_rng(random.getrandbits(64)).integers(-speckle, speckle + 1, (*image.size, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def draw_puzzle(level: Difficulty, random: Random) -> Variations:
    """One example of any split: two fifths objects, three tenths charts, three tenths dials."""
    found = random.choices(_DRAWERS, _SHARES)[0](random, level)

    def draw(own: Random, scene: Any) -> Example:
        example = found.draw(own, scene)
        return replace(example, image=_speckled(own, example.image, level.speckle))

    return replace(found, draw=draw)


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
