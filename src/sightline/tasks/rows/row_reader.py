"""From a row to a problem: text checked, images decoded, every refusal with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...rewards.answers.options_in_question import options_in
from ..loading.json_rows import WrittenNumber, plain
from ..loading.known_datasets import Columns, column_of
from ..problem import Problem
from . import decode_images as images
from .conversations import answer_of, cell_at, is_conversation, question_of
from .decode_images import Origin
from .golds import resolved, unwrapped
from .options import option_list
from .prompts import clean, pieces
from .row_columns import RowColumns
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
    gold: Any = None
    """The answer's cell where it is a list or a mapping; `answer` is then its JSON."""
    accepted: tuple[str, ...] = ()
    """Further answers that are as right."""
    listed: bool = False
    """Whether the choices were read out of the question."""

    @property
    def question(self) -> str:
        """The question without markers."""
        return "".join(self.pieces).strip()


_Options = tuple[list[str], tuple[str, ...] | None, bool]


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
    structured_golds: bool = False
    """Whether a gold may be a list or a mapping, as rewards of the user's own judge it."""

    def problem(
        self, row: Mapping[str, Any], number: int, cells: Callable[[], Mapping[str, Any]] | None = None
    ) -> PlacedProblem:
        """The problem of a row, its images decoded and within the pixel budget.

        `cells` reads the whole row but its images, once a reward wants it; by default that of `row`.

        Raises:
            UnusableRow: the row has a fault.
        """
        words = self.words(row)
        budget = self.origin, self.min_pixels, self.max_pixels
        shown = tuple(images.shown(value, *budget) for value in self.images(row))
        return PlacedProblem(
            id=f"{self.name}/{number}",
            question=words.question,
            images=shown,
            answer=words.answer,
            choices=words.choices,
            kind=words.kind,
            gold=words.gold,
            columns=RowColumns(cells or (lambda: self.without_images(row)), self._shown(row, shown)),
            pieces=words.pieces,
            accepted=words.accepted,
            listed=words.listed,
        )

    def without_images(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The cells of a row but the one that images were decoded from."""
        seen = column_of(self.columns.images) if self.columns.images else None
        return {name: cell for name, cell in row.items() if name != seen}

    def _shown(self, row: Mapping[str, Any], shown: tuple[Any, ...]) -> dict[str, Any]:
        """The decoded images under the name of their column, one or a list as the cell is."""
        name = self.columns.images
        if name is None or name not in row:
            return {}
        several = images.is_list(row[name]) or len(shown) != 1
        return {name: list(shown) if several else shown[0]}

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
        asked = cell_at(row, self.columns.question)
        question = question_of(asked) if is_conversation(asked) else _text(asked, "question")
        structured = self._structured(row)
        golds = self._golds(row, structured)
        count = len(self.images(row))
        around, markers = pieces(question, count)
        if not "".join(around).strip():
            raise UnusableRow(
                Fault.EMPTY_QUESTION, "nothing but white space" + (" and markers" if markers else "")
            )
        if not golds:
            raise UnusableRow(Fault.EMPTY_ANSWER, "nothing but white space")
        if markers > count:
            raise UnusableRow(Fault.MORE_MARKERS, f"{markers} markers, {count} images")
        (answer, *accepted), choices, listed = self._options(row, golds, "".join(around), structured)
        for text in (*around, *(choices or ())):
            if token := CONTROL_TOKEN.search(text):
                raise UnusableRow(Fault.CONTROL_TEXT, token[0])
        kind = cell_at(row, self.columns.kind) if self.columns.kind else None
        kind = "" if kind is None else str(kind)
        return RowText(tuple(around), answer, choices, kind, markers, structured, tuple(accepted), listed)

    def _structured(self, row: Mapping[str, Any]) -> Any:
        """A gold that is a list or a mapping, as plain data; None for any other, and for a list of one text,
        which stands for that text.

        Raises:
            UnusableRow: the run judges by the built-in accuracy, which compares text.
        """
        gold = cell_at(row, self.columns.answer) if self.columns.answer else None
        whole = isinstance(gold, Mapping) or (isinstance(gold, list | tuple) and not is_conversation(gold))
        if not whole or (_is_one_text(gold) and not self.structured_golds):
            return None
        if not self.structured_golds:
            kind = "a mapping" if isinstance(gold, Mapping) else "a list"
            raise UnusableRow(
                Fault.WRONG_TYPE,
                f"the answer is {kind}, and the built-in accuracy compares text: {plain(gold)!r:.60}; "
                "judge it by a reward of your own in its place (rewards: file.py:function), or, if it lists "
                "accepted answers, name the column as answers",
            )
        return plain(gold) if gold else None

    def _options(
        self, row: Mapping[str, Any], golds: Mapping[str, bool], question: str, structured: Any
    ) -> _Options:
        """The golds as they are beside the row's choices; the choices, and whether the question lists them.

        Without choices, those that the question lists count if the gold is one of their letters.
        """
        choices = _choices(cell_at(row, self.columns.choices)) if self.columns.choices else None
        if choices:
            if self.check_golds and structured is None:
                found = [resolved(gold, choices, self.answer_is, number) for gold, number in golds.items()]
                return list(dict.fromkeys(found)), choices, False
            return list(golds), choices, False
        listed = options_in(question, next(iter(golds))) if self.answer_is in (None, "letter") else ()
        return list(golds), listed or choices, bool(listed)

    def _golds(self, row: Mapping[str, Any], structured: Any) -> dict[str, bool]:
        """Every gold of a row without its wrapper, and whether it is a number by type."""
        if structured is not None:
            return {json.dumps(structured, ensure_ascii=False, default=str): False}
        cells = [cell_at(row, self.columns.answer)] if self.columns.answer else []
        several = cell_at(row, self.columns.answers) if self.columns.answers else []
        cells += several if isinstance(several, list | tuple) else [several]
        found: dict[str, bool] = {}
        for cell in cells:
            gold = unwrapped(answer_of(cell) if is_conversation(cell) else _text(cell, "answer"))
            if gold:
                found.setdefault(gold, _is_number(cell))
        return found


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


def _is_one_text(cell: Any) -> bool:
    """Whether a cell is a list of one text or number."""
    return len(cell) == 1 and not isinstance(cell, Mapping) and isinstance(cell[0], str | int | float)


def _is_number(cell: Any) -> bool:
    """Whether a cell is a number by its type, and not text that looks like one."""
    return isinstance(cell, WrittenNumber) or (isinstance(cell, int) and not isinstance(cell, bool))


def _choices(cell: Any) -> tuple[str, ...] | None:
    """The texts of the options; "" where a mapping names none."""
    found = option_list(cell)
    return None if found is None else tuple(_text(value, "choice") for value in found)
