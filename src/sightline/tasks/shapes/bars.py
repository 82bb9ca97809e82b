"""Bar charts of three or four bars, heights 1 to 9: read one to three of them, add or subtract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from PIL import Image

from .canvas import SIDE, shade
from .example import CELLS, CELLS_PER_SIDE, CellLabel, Example, cell_labels
from .response import Words, equation, join, read, running_sum, say
from .variations import Variations
from .vocabulary import COLOURS

BASELINE = 60
"""Row of pixels just below the bars."""

UNIT = 6
"""Pixels for one unit of height."""

TALLEST = 9


@dataclass(frozen=True)
class BarChart:
    """Bars from left to right: which of the four slots each stands in, and how high it is."""

    heights: Mapping[str, int]
    slots: Mapping[str, int]


def _arrange(random: Random) -> BarChart:
    colours = random.sample(COLOURS, random.randint(3, 4))
    heights = {colour: random.randint(1, TALLEST) for colour in colours}
    slots = sorted(random.sample(range(CELLS_PER_SIDE), len(colours)))
    return BarChart(heights, dict(zip(colours, slots, strict=True)))


def _draw(random: Random, chart: BarChart) -> Image.Image:
    pixels = np.full((SIDE, SIDE, 3), random.randint(235, 255), dtype=np.uint8)
    for height in range(TALLEST + 1):
        pixels[BASELINE - UNIT * height, 2 : SIDE - 2] = 190 if height % 5 else 120
    for colour, height in chart.heights.items():
        left = SIDE // CELLS_PER_SIDE * chart.slots[colour] + random.randint(1, 4)
        right = left + random.randint(9, 11)
        pixels[BASELINE - UNIT * height : BASELINE, left:right] = shade(random, colour)
    return Image.fromarray(pixels)


def _reading(chart: BarChart, colour: str) -> Words:
    return say(f"the {colour} bar is", read(chart.heights[colour]))


def _ask_sum(chart: BarChart, colours: list[str]) -> tuple[str, Words, int]:
    heights = [chart.heights[colour] for colour in colours]
    seen = join([_reading(chart, colour) for colour in colours], "and")
    bars = " and ".join(f"{colour} bar" for colour in colours)
    question = f"what is the {bars} ?" if len(colours) == 1 else f"what is the sum of the {bars} ?"
    return question, say(seen, ".", running_sum(heights)), sum(heights)


def _ask_difference(chart: BarChart, colours: list[str]) -> tuple[str, Words, int]:
    taller, shorter = sorted(colours, key=lambda colour: chart.heights[colour], reverse=True)
    high, low = chart.heights[taller], chart.heights[shorter]
    seen = join([_reading(chart, taller), _reading(chart, shorter)], "and")
    question = f"how much taller is the {taller} bar than the {shorter} bar ?"
    return question, say(seen, ".", equation(high, "-", low)), high - low


def _cells(chart: BarChart) -> tuple[CellLabel, ...]:
    """A bar is labelled in the bottom cell of its slot, which every bar reaches."""
    bottom = CELLS - CELLS_PER_SIDE
    return cell_labels(
        {bottom + chart.slots[c]: CellLabel(c, f"height {height}") for c, height in chart.heights.items()}
    )


Ask = Callable[[BarChart, list[str]], tuple[str, Words, int]]


def bar_variations(random: Random) -> Variations:
    """A bar chart and a question about one, two or three of its bars; a bar may have another height."""
    chart = _arrange(random)
    asked = random.sample(list(chart.heights), random.choices([1, 2, 3], [0.35, 0.4, 0.25])[0])
    ask = _ask_difference if len(asked) == 2 and random.random() < 0.5 else _ask_sum
    question = ask(chart, asked)[0]

    def answer(other: BarChart) -> int | None:
        same, _, found = ask(other, asked)
        return found if same == question else None

    return Variations(
        chart, lambda own, scene: _example(own, scene, asked, ask), lambda: _changed(chart), answer
    )


def _changed(chart: BarChart) -> Iterator[BarChart]:
    for colour, height in chart.heights.items():
        for other in range(1, TALLEST + 1):
            if other != height:
                yield replace(chart, heights={**chart.heights, colour: other})


def _example(random: Random, chart: BarChart, asked: list[str], ask: Ask) -> Example:
    question, reasoning, answer = ask(chart, asked)
    return Example(
        scene=chart,
        image=_draw(random, chart),
        question=question,
        reasoning=reasoning,
        answer=answer,
        kind="bar chart",
        cells=_cells(chart),
        caption=" ".join(f"{colour} {height}" for colour, height in chart.heights.items()),
    )
