"""Bar charts whose bars are known by a legend of small marks: find the colour, then the height."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from random import Random

import numpy as np
from PIL import Image

from ..shapes.canvas import SIDE, Canvas, Colour, shade
from ..shapes.example import CELLS, CELLS_PER_SIDE, CellLabel, cell_labels
from ..shapes.variations import Variations
from ..shapes.vocabulary import COLOURS
from .difficulty import Difficulty
from .example import PuzzleExample
from .puzzle import Fact, Puzzle, signed
from .vocabulary import BAR, MARKS

BASELINE = 62
"""Row of pixels just below the bars."""

UNIT = 5
"""Pixels for one unit of height."""

HEIGHTS = range(1, 10)
USUAL_HEIGHTS = {"circle": 6, "square": 3, "triangle": 8, "diamond": 5}

MARK_RADIUS = 4.2
MARK_MIDDLE = 6.5
"""Row of pixels through the middle of the legend."""


@dataclass(frozen=True)
class Bar:
    """A bar, and where the legend gives its colour."""

    mark: str
    colour: str
    height: int
    slot: int
    """Of the four under the legend, from the left."""
    legend_slot: int


def _arrange(random: Random, level: Difficulty) -> list[Bar]:
    """Four bars, one for each mark; the legend stands in an order of its own."""
    marks = list(MARKS)
    colours = random.sample(COLOURS, len(marks))
    slots, legend = (random.sample(range(CELLS_PER_SIDE), len(marks)) for _ in range(2))
    heights = [level.value(random, USUAL_HEIGHTS[mark], HEIGHTS, level.asked) for mark in marks]
    return [Bar(*bar) for bar in zip(marks, colours, heights, slots, legend, strict=True)]


def _diamond(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    return [(x, y - radius), (x + 0.7 * radius, y), (x, y + radius), (x - 0.7 * radius, y)]


def _legend(random: Random, bars: list[Bar], inks: dict[str, Colour]) -> Canvas:
    canvas = Canvas(background=random.randint(235, 255))
    width = SIDE // CELLS_PER_SIDE
    for bar in bars:
        x = width * bar.legend_slot + width / 2 + random.uniform(-2, 2)
        y = MARK_MIDDLE + random.uniform(-1, 1)
        if bar.mark == "diamond":
            canvas.polygon(_diamond(x, y, 1.25 * MARK_RADIUS), inks[bar.colour])
        else:
            canvas.shape(bar.mark, x, y, MARK_RADIUS, inks[bar.colour])
    return canvas


def _draw(random: Random, bars: list[Bar]) -> Image.Image:
    inks = {bar.colour: shade(random, bar.colour) for bar in bars}
    pixels = np.array(_legend(random, bars, inks).finish())
    for height in range(HEIGHTS[-1] + 1):
        pixels[BASELINE - UNIT * height, 2 : SIDE - 2] = 190 if height % 5 else 120
    for bar in bars:
        left = SIDE // CELLS_PER_SIDE * bar.slot + random.randint(1, 5)
        right = left + random.randint(7, 10)
        pixels[BASELINE - UNIT * bar.height : BASELINE, left:right] = inks[bar.colour]
    return Image.fromarray(pixels)


def _labels(bars: list[Bar]) -> tuple[CellLabel, ...]:
    """A mark is labelled in its cell of the top row, a bar in the bottom cell, which every bar reaches."""
    bottom = CELLS - CELLS_PER_SIDE
    marks = {bar.legend_slot: CellLabel(bar.colour, bar.mark) for bar in bars}
    heights = {bottom + bar.slot: CellLabel(bar.colour, f"height {bar.height}") for bar in bars}
    return cell_labels(marks | heights)


def _caption(bars: list[Bar]) -> str:
    legend = " ".join(f"{b.mark} {b.colour}" for b in sorted(bars, key=lambda b: b.legend_slot))
    heights = " ".join(f"{b.colour} {BAR} {b.height}" for b in sorted(bars, key=lambda b: b.slot))
    return f"{legend} . {heights}"


def chart_variations(random: Random, level: Difficulty) -> Variations:
    """A chart and a question about some of its bars, named by their marks.

    A bar may have another height, or two of them change places.
    """
    bars = _arrange(random, level)
    asked = [bars.index(bar) for bar in random.sample(bars, level.asked)]
    sign = signed(random, _facts(bars, asked)).sign

    def puzzle(other: list[Bar]) -> Puzzle:
        return Puzzle(tuple(_facts(other, asked)), sign)

    return Variations(
        bars, lambda own, other: _example(own, other, puzzle(other)), lambda: _changed(bars),
        lambda other: puzzle(other).possible_answer,
    )  # fmt: skip


def _facts(bars: list[Bar], asked: list[int]) -> list[Fact]:
    chosen = [bars[place] for place in asked]
    return [Fact(f"{b.mark} {BAR}", b.height, USUAL_HEIGHTS[b.mark], b.colour) for b in chosen]


def _changed(bars: list[Bar]) -> Iterator[list[Bar]]:
    for place, bar in enumerate(bars):
        for height in HEIGHTS:
            if height != bar.height:
                yield [*bars[:place], replace(bar, height=height), *bars[place + 1 :]]
    for one, other in combinations(range(len(bars)), 2):
        moved = list(bars)
        moved[one] = replace(bars[one], slot=bars[other].slot)
        moved[other] = replace(bars[other], slot=bars[one].slot)
        yield moved


def _example(random: Random, bars: list[Bar], puzzle: Puzzle) -> PuzzleExample:
    return PuzzleExample(
        scene=bars,
        image=_draw(random, bars),
        question=puzzle.question(random),
        reasoning=puzzle.reasoning(random),
        answer=puzzle.answer,
        kind="chart",
        cells=_labels(bars),
        caption=_caption(bars),
        puzzle=puzzle,
    )
