"""An example of Shapes-2: a problem of the drawn worlds that knows its puzzle."""

from __future__ import annotations

from dataclasses import dataclass

from ..shapes.example import Example
from ..shapes.vocabulary import COLOURS, NOTHING
from .puzzle import Puzzle
from .vocabulary import MARKS

CELL_COLOURS = (*COLOURS, NOTHING)
CELL_CONTENTS = (
    *MARKS,
    NOTHING,
    *(f"height {height}" for height in range(1, 10)),
    *(f"hour {hour}" for hour in range(1, 13)),
    *(f"tag {number}" for number in range(1, 10)),
)


@dataclass(frozen=True, kw_only=True)
class PuzzleExample(Example):
    """An example whose reasoning can be told again, in other words or with other values."""

    puzzle: Puzzle
