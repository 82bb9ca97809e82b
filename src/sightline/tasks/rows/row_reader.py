"""From a row to a problem: text checked, images decoded, every refusal with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..loading.known_datasets import Columns
from ..problem import Problem
from . import decode_images as images
from .decode_images import Origin
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
        return images.values(row[self.columns.images]) if self.columns.images else []

    def sizes(self, row: Mapping[str, Any]) -> list[tuple[int, int]]:
        """Width and height of a row's images as the model gets them, without decoding.

        Raises:
            UnusableRow: an image has a fault that shows in its header or container.
        """
        found = [images.inspect(value, self.origin) for value in self.images(row)]
        return [images.within_budget(size, self.min_pixels, self.max_pixels) for size in found]

    def words(self, row: Mapping[str, Any]) -> RowText:
        """The text of a row.

        Raises:
            UnusableRow: question or answer are empty or no text, a marker has no image, or the text
                holds what a tokenizer would take for a special token.
        """
        question = _text(row[self.columns.question], "question")
        answer = _text(row[self.columns.answer], "answer").strip()
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
        choices = _choices(row[self.columns.choices]) if self.columns.choices else None
        for text in (*around, *(choices or ())):
            if token := CONTROL_TOKEN.search(text):
                raise UnusableRow(Fault.CONTROL_TEXT, token[0])
        kind = row[self.columns.kind] if self.columns.kind else None
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


def _choices(cell: Any) -> tuple[str, ...] | None:
    """The values of the options: a list, a mapping in its order, or either of them as JSON text."""
    if isinstance(cell, str) and cell.strip():
        try:
            cell = json.loads(cell)
        except ValueError as error:
            raise UnusableRow(
                Fault.WRONG_TYPE, f"choices are text that is no JSON list: {cell[:60]!r}"
            ) from error
    if isinstance(cell, Mapping):
        cell = [value for _, value in sorted(cell.items()) if value is not None]
    if cell is None or cell == "" or len(cell) == 0:
        return None
    if not isinstance(cell, list | tuple):
        raise UnusableRow(Fault.WRONG_TYPE, f"choices are {type(cell).__name__}, expected a list")
    return tuple(_text(value, "choice") for value in cell)
