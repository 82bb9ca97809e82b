"""An example of the Shapes world: a problem together with everything its drawer knows about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from PIL.Image import Image

from .response import Role, Words, house_response, text_of
from .vocabulary import COLOURS, NOTHING, SHAPES

CELLS_PER_SIDE = 4
CELLS = CELLS_PER_SIDE**2

CELL_COLOURS = (*COLOURS, NOTHING)
CELL_CONTENTS = (
    *SHAPES,
    NOTHING,
    *(f"height {height}" for height in range(1, 10)),
    *(f"angle {angle}" for angle in range(10, 85, 5)),
)


class CellLabel(NamedTuple):
    """What stands in one of the 4x4 cells of the image: one of `CELL_COLOURS`, one of `CELL_CONTENTS`."""

    colour: str
    content: str


EMPTY_CELL = CellLabel(NOTHING, NOTHING)


def cell_labels(filled: Mapping[int, CellLabel]) -> tuple[CellLabel, ...]:
    """All 16 labels, row by row from the top left, from those of the cells that are not empty."""
    return tuple(filled.get(cell, EMPTY_CELL) for cell in range(CELLS))


@dataclass(frozen=True)
class Example:
    """One drawn problem; `sightline.tasks.Problem` is the part of it that a model may see."""

    scene: object
    """What was drawn: a `ShapeGrid`, `BarChart` or `Triangle`."""
    image: Image
    """64x64 RGB."""
    question: str
    reasoning: Words
    """The ideal reasoning, without the think tags."""
    answer: int
    kind: str
    """"count", "bar chart" or "triangle"."""
    cells: tuple[CellLabel, ...]
    """What the 16 cells of the image show, row by row."""
    caption: str | None = None
    """Everything in the image as a list of words; None where the reasoning says it already."""

    @property
    def response(self) -> Words:
        """The ideal response in the house format, with each word's role."""
        return house_response(self.reasoning, self.answer)

    @property
    def response_text(self) -> str:
        """The ideal response as text."""
        return text_of(self.response)

    @property
    def reads(self) -> int:
        """How many numbers have to be read off the image."""
        return sum(word.role is Role.READ for word in self.reasoning)
