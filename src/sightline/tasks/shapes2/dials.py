"""Dials with one hand at a free angle: read the hour it is nearest to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from PIL import Image

from ..shapes.canvas import SIDE, Canvas, shade
from ..shapes.example import CELLS_PER_SIDE, CellLabel, cell_labels
from ..shapes.vocabulary import COLOURS
from .difficulty import Difficulty
from .example import PuzzleExample
from .puzzle import Fact, signed
from .vocabulary import DIAL

HOURS = range(1, 13)
USUAL_HOURS = {"red": 3, "green": 9, "blue": 6, "yellow": 11, "purple": 8}
QUARTER = SIDE // 2
RIM = 2.6
"""Width of the coloured rim, in pixels."""


@dataclass(frozen=True)
class Dial:
    """A dial by its colour, the quarter of the image it fills, row by row, and its hour."""

    colour: str
    quarter: int
    hour: int


def _arrange(random: Random, level: Difficulty) -> list[Dial]:
    """Four dials of different colours."""
    colours = random.sample(COLOURS, 4)
    hours = [level.value(random, USUAL_HOURS[colour], HOURS, level.asked) for colour in colours]
    return [Dial(*dial) for dial in zip(colours, range(4), hours, strict=True)]


def _draw(random: Random, level: Difficulty, dials: list[Dial]) -> Image.Image:
    background = random.randint(225, 255)
    canvas = Canvas(background)
    for dial in dials:
        row, column = divmod(dial.quarter, 2)
        radius = random.uniform(11.5, 14.0)
        x, y = (QUARTER * place + QUARTER / 2 + random.uniform(-1.5, 1.5) for place in (column, row))
        canvas.shape("circle", x, y, radius, shade(random, dial.colour))
        canvas.shape("circle", x, y, radius - RIM, (background, background, background))
        angle = math.radians(30 * dial.hour + random.uniform(-level.slack, level.slack))
        length = radius - RIM - random.uniform(0.5, 2.5)
        tip = x + length * math.sin(angle), y - length * math.cos(angle)
        canvas.line([(x, y), tip], (30, 30, 30), width=4)
        canvas.shape("circle", x, y, 2.0, (30, 30, 30))
    return canvas.finish()


def _labels(dials: list[Dial]) -> tuple[CellLabel, ...]:
    """Each of the four cells of a quarter is labelled with its dial."""
    labels = {}
    for dial in dials:
        row, column = divmod(dial.quarter, 2)
        for down in range(2):
            for right in range(2):
                cell = CELLS_PER_SIDE * (2 * row + down) + 2 * column + right
                labels[cell] = CellLabel(dial.colour, f"hour {dial.hour}")
    return cell_labels(labels)


def dial_example(random: Random, level: Difficulty) -> PuzzleExample:
    """Four dials and a question about some of them."""
    dials = _arrange(random, level)
    asked = random.sample(dials, level.asked)
    facts = [Fact(f"{dial.colour} {DIAL}", dial.hour, USUAL_HOURS[dial.colour]) for dial in asked]
    puzzle = signed(random, facts)
    return PuzzleExample(
        scene=dials,
        image=_draw(random, level, dials),
        question=puzzle.question(random),
        reasoning=puzzle.reasoning(random),
        answer=puzzle.answer,
        kind="dials",
        cells=_labels(dials),
        caption=" ".join(f"{dial.colour} {DIAL} {dial.hour}" for dial in dials),
        puzzle=puzzle,
    )
