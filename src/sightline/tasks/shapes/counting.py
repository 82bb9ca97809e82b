"""Coloured shapes on a jittered 4x4 grid: count one to three groups, add or subtract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from PIL.Image import Image

from .canvas import SIDE, Canvas, shade
from .example import CELLS, CELLS_PER_SIDE, CellLabel, Example, cell_labels
from .response import Words, equation, join, read, running_sum, say
from .variations import Variations
from .vocabulary import COLOURS, NOTHING, SHAPES

Thing = tuple[str, str]
"""A colour and a shape."""

MOST = 4
"""Largest count of a group."""

THINGS: list[Thing] = [(colour, shape) for colour in COLOURS for shape in SHAPES]


@dataclass(frozen=True)
class ShapeGrid:
    """Which of the 16 cells, counted row by row, holds which thing."""

    objects: Mapping[int, Thing]

    def count(self, thing: Thing) -> int:
        """How many cells hold exactly this thing."""
        return sum(there == thing for there in self.objects.values())


def _arrange(random: Random, groups: list[Thing]) -> ShapeGrid:
    """0 to 4 of each group (never none of several) and 2 to 6 others, most of them easily confused."""
    counts = [random.randint(0, MOST) for _ in groups]
    while len(groups) > 1 and sum(counts) == 0:
        counts = [random.randint(0, MOST) for _ in groups]
    things = [thing for thing, count in zip(groups, counts, strict=True) for _ in range(count)]
    others = [thing for thing in THINGS if thing not in groups]
    similar = [(c, s) for c, s in others if any(c == colour or s == shape for colour, shape in groups)]
    for _ in range(random.randint(2, min(6, CELLS - len(things)))):
        things.append(random.choice(similar if random.random() < 0.7 else others))
    cells = random.sample(range(CELLS), len(things))
    return ShapeGrid(dict(zip(cells, things, strict=True)))


def _draw(random: Random, grid: ShapeGrid) -> Image:
    canvas = Canvas(background=random.randint(215, 250))
    width = SIDE // CELLS_PER_SIDE
    for cell, (colour, shape) in grid.objects.items():
        row, column = divmod(cell, CELLS_PER_SIDE)
        radius = random.uniform(3.6, 6.2)
        x, y = (width * place + width / 2 + random.uniform(-1.8, 1.8) for place in (column, row))
        canvas.shape(shape, x, y, radius, shade(random, colour))
    return canvas.finish()


def _name(thing: Thing) -> str:
    return " ".join(thing)


def _ask_sum(grid: ShapeGrid, groups: list[Thing]) -> tuple[str, Words, int]:
    counts = [grid.count(thing) for thing in groups]
    seen = join([say(read(n), _name(thing)) for n, thing in zip(counts, groups, strict=True)], "and")
    question = f"how many {' and '.join(_name(thing) for thing in groups)} ?"
    return question, say("i see", seen, ".", running_sum(counts)), sum(counts)


def _ask_difference(grid: ShapeGrid, groups: list[Thing]) -> tuple[str, Words, int]:
    more, fewer = sorted(groups, key=grid.count, reverse=True)
    high, low = grid.count(more), grid.count(fewer)
    seen = say("i see", read(high), _name(more), "and", read(low), _name(fewer), ".")
    question = f"how many more {_name(more)} than {_name(fewer)} ?"
    return question, say(seen, equation(high, "-", low)), high - low


def _caption(grid: ShapeGrid) -> str:
    return " ".join(_name(grid.objects[cell]) if cell in grid.objects else NOTHING for cell in range(CELLS))


Ask = Callable[[ShapeGrid, list[Thing]], tuple[str, Words, int]]


def counting_variations(random: Random) -> Variations:
    """A grid of shapes and a question about some groups of them; one may have another colour or shape."""
    group_count = random.choices([1, 2, 3], [0.3, 0.4, 0.3])[0]
    groups = random.sample(THINGS, group_count)
    grid = _arrange(random, groups)
    ask = _ask_difference if group_count == 2 and random.random() < 0.3 else _ask_sum
    question = ask(grid, groups)[0]

    def answer(other: ShapeGrid) -> int | None:
        counts = [other.count(thing) for thing in groups]
        same, _, found = ask(other, groups)
        usual = max(counts) <= MOST and (len(groups) == 1 or any(counts))
        return found if usual and same == question else None

    return Variations(
        grid, lambda own, scene: _example(own, scene, groups, ask), lambda: _changed(grid), answer
    )


def _changed(grid: ShapeGrid) -> Iterator[ShapeGrid]:
    for cell, (colour, shape) in grid.objects.items():
        for other in THINGS:
            if (other[0] == colour) != (other[1] == shape):
                yield ShapeGrid({**grid.objects, cell: other})


def _example(random: Random, grid: ShapeGrid, groups: list[Thing], ask: Ask) -> Example:
    question, reasoning, answer = ask(grid, groups)
    return Example(
        scene=grid,
        image=_draw(random, grid),
        question=question,
        reasoning=reasoning,
        answer=answer,
        kind="count",
        cells=cell_labels({cell: CellLabel(*thing) for cell, thing in grid.objects.items()}),
        caption=_caption(grid),
    )
