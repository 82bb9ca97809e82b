"""Triangles with one or two angles written in them: find the angle that is not written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from PIL.Image import Image

from .canvas import SIDE, Canvas, Colour, stamp_number
from .example import CELLS_PER_SIDE, CellLabel, Example, cell_labels
from .response import equation, read, say
from .variations import Variations
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


@dataclass(frozen=True)
class _Right:
    """A right triangle with one angle written in it."""

    ink: Colour
    angle: int
    x: int
    base: int
    tip: int
    top: int

    def changed(self) -> Iterator[_Right]:
        """With another angle written in it, or another height."""
        yield from (replace(self, angle=5 * k) for k in range(2, 17) if 5 * k != self.angle)
        yield from (replace(self, top=top) for top in range(4, 15) if top != self.top)

    def example(self, random: Random) -> Example:
        """What is drawn and asked."""
        places = [(self.angle, min(self.tip, 60) - 24, self.base - 9)]
        corners = [(self.x, self.base), (self.tip, self.base), (self.x, self.top)]
        lines = _draw_lines(random, corners, self.ink, right=True)
        return Example(
            scene=Triangle((self.angle,), right=True),
            image=_write(random, lines, self.ink, places),
            question="what is the other angle of the right triangle ?",
            reasoning=say("the angle is", read(self.angle), ".", equation(90, "-", self.angle)),
            answer=90 - self.angle,
            kind="triangle",
            cells=_cells(places),
        )


@dataclass(frozen=True)
class _Any:
    """A triangle with two angles written in it."""

    ink: Colour
    first: int
    second: int
    base: int
    left: int
    right: int
    apex: Point

    def changed(self) -> Iterator[_Any]:
        """With another angle written in it, or another apex."""
        tens = range(20, 90, 10)
        yield from (replace(self, first=a) for a in tens if a != self.first and a + self.second <= 150)
        yield from (replace(self, second=a) for a in tens if a != self.second and a + self.first <= 150)
        yield from (replace(self, apex=(x, self.apex[1])) for x in range(20, 45) if x != self.apex[0])

    def example(self, random: Random) -> Example:
        """What is drawn and asked."""
        first, second, base = self.first, self.second, self.base
        places = [(first, self.left + 8, base - 9), (second, self.right - 20, base - 9)]
        corners = [(self.left, base), (self.right, base), self.apex]
        lines = _draw_lines(random, corners, self.ink, right=False)
        seen = say("the angles are", read(first), "and", read(second), ".")
        both = first + second
        return Example(
            scene=Triangle((first, second), right=False),
            image=_write(random, lines, self.ink, places),
            question="what is the top angle of the triangle ?",
            reasoning=say(seen, equation(first, "+", second), ".", equation(180, "-", both)),
            answer=180 - both,
            kind="triangle",
            cells=_cells(places),
        )


def _right_triangle(random: Random) -> _Right:
    ink, angle = _ink(random), 5 * random.randint(2, 16)
    x, base = random.randint(4, 12), random.randint(52, 60)
    tip, top = random.randint(57, 61), random.randint(4, 14)
    return _Right(ink, angle, x, base, tip, top)


def _any_triangle(random: Random) -> _Any:
    ink = _ink(random)
    first, second = 10 * random.randint(2, 8), 10 * random.randint(2, 8)
    while first + second > 150:
        first, second = 10 * random.randint(2, 8), 10 * random.randint(2, 8)
    base = random.randint(52, 60)
    left, right = random.randint(2, 8), random.randint(56, 62)
    return _Any(ink, first, second, base, left, right, (random.randint(20, 44), random.randint(3, 10)))


def triangle_variations(random: Random) -> Variations:
    """A triangle and the question for its last angle; an angle or a corner may be another."""
    scene = _right_triangle(random) if random.random() < 0.5 else _any_triangle(random)

    def answer(other: _Right | _Any) -> int:
        return 90 - other.angle if isinstance(other, _Right) else 180 - other.first - other.second

    return Variations(scene, lambda own, other: other.example(own), scene.changed, answer)
