"""From a row to a problem: text checked, images decoded, every refusal with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..loading.json_rows import WrittenNumber
from ..loading.known_datasets import Columns
from ..problem import Problem
from . import decode_images as images
from .conversations import answer_of, cell_at, is_conversation, question_of
from .decode_images import Origin
from .golds import resolved, unwrapped
from .options import option_list
from .prompts import clean, pieces
from .row_errors import Fault, UnusableRow

CONTROL_TOKEN = re.compile(
    r"<\|[^<>|\s]{1,40}\|>|<(?:IMG_CONTEXT|image_soft_token|start_of_turn|end_of_turn)>"
)
"""Text a tokenizer would take for a special token: it would forge a turn, or an image that is not there."""


@dataclass(frozen=True)
class PlacedProblem(Problem):
    """A problem that knows where in its text the images belong."""

    pieces: tuple[str, ...] = ()
    """The question's text around the images: one piece more than there are images."""


@dataclass(frozen=True)
class RowText:
    """What a row says, without its images."""

    pieces: tuple[str, ...]
    answer: str
    choices: tuple[str, ...] | None
    kind: str
    markers: int
    """`<image>` markers in the question."""

    @property
    def question(self) -> str:
        """The question without markers."""
        return "".join(self.pieces).strip()


@dataclass(frozen=True)
class RowReader:
    """Reads the rows of one split of one set."""

    name: str
    """Begins the id of every problem: `name/row`."""
    columns: Columns
    origin: Origin
    min_pixels: int | None = None
    max_pixels: int | None = None
    answer_is: str | None = None
    """What golds beside choices are: `index`, `letter`, `text`; None: it has to show."""
    check_golds: bool = True
    """Whether a gold that no option earns is a fault; a benchmark's are checked, and counted, by itself."""

    def problem(self, row: Mapping[str, Any], number: int) -> PlacedProblem:
        """The problem of a row, its images decoded and within the pixel budget.

        Raises:
            UnusableRow: the row has a fault.
        """
        words = self.words(row)
        budget = self.origin, self.min_pixels, self.max_pixels
        return PlacedProblem(
            id=f"{self.name}/{number}",
            question=words.question,
            images=tuple(images.shown(value, *budget) for value in self.images(row)),
            answer=words.answer,
            choices=words.choices,
            kind=words.kind,
            pieces=words.pieces,
        )

    def images(self, row: Mapping[str, Any]) -> list[Any]:
        """The encoded images of a row; none if the set has no such column.

        Raises:
            UnusableRow: one of them is missing.
        """
        return images.values(cell_at(row, self.columns.images)) if self.columns.images else []

    def sizes(self, row: Mapping[str, Any]) -> list[tuple[int, int]]:
        """Width and height of a row's images as the model gets them, without decoding.

        Raises:
            UnusableRow: an image has a fault that shows in its header or container.
        """
        found = [images.inspect(value, self.origin) for value in self.images(row)]
        return [self._within_budget(size) for size in found]

    def _within_budget(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size as the model gets it; cutting to whole pixels can make a thin image thinner."""
        width, height = images.within_budget(size, self.min_pixels, self.max_pixels)
        if max(width, height) > images.THINNEST * min(width, height):
            raise UnusableRow(
                Fault.THIN_IMAGE,
                f"{size[0]}x{size[1]} becomes {width}x{height} within the budget; sides differ more than "
                f"{images.THINNEST} times",
            )
        return width, height

    def words(self, row: Mapping[str, Any]) -> RowText:
        """The text of a row.

        Raises:
            UnusableRow: question or answer are empty or no text, a marker has no image, or the text
                holds what a tokenizer would take for a special token.
        """
        asked, gold = (cell_at(row, name) for name in (self.columns.question, self.columns.answer))
        question = question_of(asked) if is_conversation(asked) else _text(asked, "question")
        answer = unwrapped(answer_of(gold) if is_conversation(gold) else _text(gold, "answer"))
        count = len(self.images(row))
        around, markers = pieces(question, count)
        if not "".join(around).strip():
            raise UnusableRow(
                Fault.EMPTY_QUESTION, "nothing but white space" + (" and markers" if markers else "")
            )
        if not answer:
            raise UnusableRow(Fault.EMPTY_ANSWER, "nothing but white space")
        if markers > count:
            raise UnusableRow(Fault.MORE_MARKERS, f"{markers} markers, {count} images")
        choices = _choices(cell_at(row, self.columns.choices)) if self.columns.choices else None
        if choices and self.check_golds:
            answer = resolved(answer, choices, self.answer_is, _is_number(gold))
        for text in (*around, *(choices or ())):
            if token := CONTROL_TOKEN.search(text):
                raise UnusableRow(Fault.CONTROL_TEXT, token[0])
        kind = cell_at(row, self.columns.kind) if self.columns.kind else None
        return RowText(tuple(around), answer, choices, "" if kind is None else str(kind), markers)


def _text(cell: Any, role: str) -> str:
    """A cell as text; null is empty, numbers are written out."""
    if cell is None:
        return ""
    if isinstance(cell, list | tuple) and len(cell) == 1:
        cell = cell[0]
    if isinstance(cell, str):
        return clean(cell)
    if isinstance(cell, int | float) and cell == cell:  # not NaN
        return str(cell)
    raise UnusableRow(
        Fault.WRONG_TYPE, f"the {role} is {type(cell).__name__}, expected text or a number: {cell!r:.60}"
    )


def _is_number(cell: Any) -> bool:
    """Whether a cell is a number by its type, and not text that looks like one."""
    return isinstance(cell, WrittenNumber) or (isinstance(cell, int) and not isinstance(cell, bool))


def _choices(cell: Any) -> tuple[str, ...] | None:
    """The texts of the options; "" where a mapping names none."""
    found = option_list(cell)
    return None if found is None else tuple(_text(value, "choice") for value in found)
