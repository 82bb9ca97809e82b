"""What a benchmark's row says, whatever its columns: question, images, gold, choices, groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ...plain_files import Refused, parse_json

MARKER = "<image>"
_NUMBERED = re.compile(r"<image\s?([1-9]\d?)>")
_LETTERED = re.compile(r"(?:^|[;；\n])\s*\(?([A-Z])\s*[.．:：)]\s*")


Rule = Literal["contains_words", "contains_letters", "numbers_in_order"]
"""A benchmark's own rule: a gold stands within the answer (in any case; or in its case, without spaces), or
the numbers of the answer are those of the gold in their order, whatever stands between them."""


@dataclass(frozen=True)
class BenchmarkRow:
    """One problem as a row states it, its images still encoded."""

    question: str
    """Text with `<image>` where an image belongs; without any the images come first."""
    images: Sequence[Any]
    answer: str
    choices: tuple[str, ...] = ()
    """The values of A, B, ..., for the grader."""
    listed: bool = False
    """Whether the question itself lists the choices; if not, the prompt's template does."""
    cluster: str = ""
    """Problems with one cluster share their intervals' unit; by default each is its own."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What accuracy is broken down by: version, skill, subject."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """What the benchmark's own scores group by; not shown."""
    tolerance: float | None = None
    """Largest absolute error of a numeric answer, where the benchmark allows one."""
    accepted: tuple[str, ...] = ()
    """Further answers that are as right as the gold."""
    rule: Rule | None = None
    """How the benchmark itself compares, where that is not by equality."""


Reader = Callable[[Mapping[str, Any]], BenchmarkRow | None]
"""From a row to what it asks; None for a row that is not part of the benchmark."""


def text(cell: Any) -> str:
    """A cell as text; lists are joined, null is empty."""
    if cell is None:
        return ""
    return ", ".join(map(str, cell)) if isinstance(cell, list | tuple) else str(cell)


def cells(cell: Any) -> list[Any]:
    """What a cell holds, one or several; None and an empty list are nothing."""
    if cell is None:
        return []
    return list(cell) if isinstance(cell, list | tuple) else [cell]


def numbered(question: str, shown: Sequence[Any]) -> tuple[str, list[Any]]:
    """A question whose places read `<image 1>` or `<image1>`, with plain markers and in reading order.

    Each image is shown where it is first named; later mentions, and numbers without an image, stay
    text. If no number is found everything is left as it is.
    """
    order: list[int] = []

    def place(match: re.Match[str]) -> str:
        number = int(match[1]) - 1
        if number in order or number >= len(shown) or shown[number] is None:
            return match[0]
        order.append(number)
        return MARKER

    marked = _NUMBERED.sub(place, question)
    return (marked, [shown[number] for number in order]) if order else (question, list(shown))


def options(cell: Any) -> tuple[str, ...]:
    """The values of the options: a list, a Python or JSON list as text, or `A. 3; B. 4; C. 5`.

    Text that is none of these gives ().
    """
    if isinstance(cell, list | tuple):
        return tuple(text(value) for value in cell)
    written = text(cell).strip()
    if written.startswith("["):
        return _listed(written)
    marks = list(_LETTERED.finditer(written))
    if len(marks) < 2 or [mark[1] for mark in marks] != [chr(ord("A") + i) for i in range(len(marks))]:
        return ()
    ends = [*(mark.start() for mark in marks[1:]), len(written)]
    return tuple(
        written[mark.end() : end].strip().rstrip(";；").strip() for mark, end in zip(marks, ends, strict=True)
    )


_ITEM = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^\s,'"\[\]]+))\s*(,|$)""", re.DOTALL)


def _listed(written: str) -> tuple[str, ...]:
    """A list of strings and numbers in Python's or JSON's notation, read and never evaluated."""
    try:
        return tuple(map(text, parse_json(written)))
    except Refused:
        body, found, position = written[1:].rstrip().removesuffix("]"), [], 0
    while position < len(body):
        item = _ITEM.match(body, position)
        if item is None:
            return ()
        single, double, bare, _ = item.groups()
        quoted = single if single is not None else double
        found.append(bare if quoted is None else re.sub(r"\\(['\"\\])", r"\1", quoted))
        position = item.end()
    return tuple(found)


def letter(answer: str, choices: Sequence[str]) -> str:
    """The letter of the one choice whose text is the gold; the gold itself if there is no such choice."""
    places = [place for place, choice in enumerate(choices) if choice.strip() == answer.strip()]
    return chr(ord("A") + places[0]) if len(places) == 1 and places[0] < 26 else answer
