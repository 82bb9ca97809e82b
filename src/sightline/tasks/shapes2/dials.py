"""Dials with one hand at a free angle: read the hour it is nearest to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from random import Random

from PIL import Image

from ..shapes.canvas import SIDE, Canvas, shade
from ..shapes.example import CELLS_PER_SIDE, CellLabel, cell_labels
from ..shapes.variations import Variations
from ..shapes.vocabulary import COLOURS
from .difficulty import Difficulty
from .example import PuzzleExample
from .puzzle import Fact, Puzzle, signed
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


def dial_variations(random: Random, level: Difficulty) -> Variations:
    """Four dials and a question about some of them; one may show another hour, or two change places."""
    dials = _arrange(random, level)
    asked = [dials.index(dial) for dial in random.sample(dials, level.asked)]
    sign = signed(random, _facts(dials, asked)).sign

    def puzzle(other: list[Dial]) -> Puzzle:
        return Puzzle(tuple(_facts(other, asked)), sign)

    return Variations(
        dials, lambda own, other: _example(own, level, other, puzzle(other)), lambda: _changed(dials),
        lambda other: puzzle(other).possible_answer,
    )  # fmt: skip


def _facts(dials: list[Dial], asked: list[int]) -> list[Fact]:
    chosen = [dials[place] for place in asked]
    return [Fact(f"{dial.colour} {DIAL}", dial.hour, USUAL_HOURS[dial.colour]) for dial in chosen]


def _changed(dials: list[Dial]) -> Iterator[list[Dial]]:
    for place, dial in enumerate(dials):
        for hour in HOURS:
            if hour != dial.hour:
                yield [*dials[:place], replace(dial, hour=hour), *dials[place + 1 :]]
    for one, other in combinations(range(len(dials)), 2):
        moved = list(dials)
        moved[one] = replace(dials[one], quarter=dials[other].quarter)
        moved[other] = replace(dials[other], quarter=dials[one].quarter)
        yield moved


def _example(random: Random, level: Difficulty, dials: list[Dial], puzzle: Puzzle) -> PuzzleExample:
    row_by_row = sorted(dials, key=lambda dial: dial.quarter)
    return PuzzleExample(
        scene=dials,
        image=_draw(random, level, dials),
        question=puzzle.question(random),
        reasoning=puzzle.reasoning(random),
        answer=puzzle.answer,
        kind="dials",
        cells=_labels(dials),
        caption=" ".join(f"{dial.colour} {DIAL} {dial.hour}" for dial in row_by_row),
        puzzle=puzzle,
    )
