"""Triangles with one or two angles written in them: find the angle that is not written."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from PIL.Image import Image

from .canvas import SIDE, Canvas, Colour, stamp_number
from .example import CELLS_PER_SIDE, CellLabel, Example, cell_labels
from .response import equation, read, say
from .vocabulary import NOTHING

Point = tuple[int, int]
Place = tuple[int, int, int]
"""An angle in degrees and the left and top pixel of its number."""


@dataclass(frozen=True)
class Triangle:
    """The angles that are written in the image; one for a right triangle, else two."""

    angles: tuple[int, ...]
    right: bool


def _draw_lines(random: Random, corners: list[Point], ink: Colour, right: bool) -> Image:
    canvas = Canvas(background=random.randint(235, 255))
    canvas.line([*corners, corners[0]], ink, width=3)
    if right:
        (x, y), side = corners[0], 6
        canvas.line([(x, y - side), (x + side, y - side), (x + side, y)], ink, width=2)
    return canvas.finish()


def _write(random: Random, image: Image, ink: Colour, places: list[Place]) -> Image:
    for angle, left, top in places:
        image = stamp_number(image, angle, left + random.randint(-1, 1), top + random.randint(-1, 0), ink)
    return image


def _cells(places: list[Place]) -> tuple[CellLabel, ...]:
    """Each angle is labelled in the cell under the middle of its number."""
    width = SIDE // CELLS_PER_SIDE
    return cell_labels(
        {
            CELLS_PER_SIDE * ((top + 3) // width) + (left + 5) // width: CellLabel(NOTHING, f"angle {angle}")
            for angle, left, top in places
        }
    )


def _ink(random: Random) -> Colour:
    return random.randint(0, 110), random.randint(0, 110), random.randint(0, 110)


def _right_triangle(random: Random) -> Example:
    ink, angle = _ink(random), 5 * random.randint(2, 16)
    x, base = random.randint(4, 12), random.randint(52, 60)
    tip, top = random.randint(57, 61), random.randint(4, 14)
    places = [(angle, min(tip, 60) - 24, base - 9)]
    lines = _draw_lines(random, [(x, base), (tip, base), (x, top)], ink, right=True)
    return Example(
        scene=Triangle((angle,), right=True),
        image=_write(random, lines, ink, places),
        question="what is the other angle of the right triangle ?",
        reasoning=say("the angle is", read(angle), ".", equation(90, "-", angle)),
        answer=90 - angle,
        kind="triangle",
        cells=_cells(places),
    )


def _any_triangle(random: Random) -> Example:
    ink = _ink(random)
    first, second = 10 * random.randint(2, 8), 10 * random.randint(2, 8)
    while first + second > 150:
        first, second = 10 * random.randint(2, 8), 10 * random.randint(2, 8)
    base = random.randint(52, 60)
    left, right = random.randint(2, 8), random.randint(56, 62)
    apex = (random.randint(20, 44), random.randint(3, 10))
    places = [(first, left + 8, base - 9), (second, right - 20, base - 9)]
    lines = _draw_lines(random, [(left, base), (right, base), apex], ink, right=False)
    seen = say("the angles are", read(first), "and", read(second), ".")
    both = first + second
    return Example(
        scene=Triangle((first, second), right=False),
        image=_write(random, lines, ink, places),
        question="what is the top angle of the triangle ?",
        reasoning=say(seen, equation(first, "+", second), ".", equation(180, "-", both)),
        answer=180 - both,
        kind="triangle",
        cells=_cells(places),
    )


def triangle_example(random: Random) -> Example:
    """A right triangle with one angle written in it, or any triangle with two."""
    return _right_triangle(random) if random.random() < 0.5 else _any_triangle(random)
