r"""Lists, tuples, sets and intervals, taken apart: `(1, 2)`, `\{1, 2\}`, `[2, 5)`, `x = 1` or `x = 2`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..latex import closing, split, symbols
from ..numbers.units import quantity

_OPENING = {"(": "(", "[": "[", r"\{": "{", r"\langle": "("}
_CLOSING = {")": ")", "]": "]", r"\}": "}", r"\rangle": ")"}
_CONNECTED = re.compile(
    r"\s*[,;]?\s*(?:\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))\s*"
)
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_LABELLED_POINT = re.compile(r"[A-Z]'?\s*(?=\(.*,.*\)$)")
_NAMED_TUPLE = re.compile(
    r"\(\s*((?:\\?[A-Za-z]+(?:_\{?[A-Za-z0-9]\}?)?\s*,\s*)+\\?[A-Za-z]+(?:_\{?[A-Za-z0-9]\}?)?)\s*\)\s*=\s*(\(.*\))"
)
_RELATED = re.compile(r"[=<>]|\\[lg]e(?![A-Za-z])")
_ZEROS = re.compile(r"0[0-9]")
_MOST_ITEMS = 64


@dataclass(frozen=True)
class Items:
    """The items of a list, and what stands around them."""

    label: str
    """The name of a point (`P(1, 2)`), or nothing."""
    brackets: str
    """"()", "[]", "(]", "[)", "{}", or "" for a bare list."""
    parts: list[str]


def items_of(text: str, forced: bool = False) -> Items | None:
    """The items of a list; None for a single value. `forced` reads "100,200" as two values, not "1,000"."""
    label = _LABELLED_POINT.match(text)
    name = label.group().strip() if label else ""
    text = text[len(label.group()) :] if label else text
    marks = symbols(text)
    if not marks:
        return None
    first, last = marks[0][1], marks[-1][1]
    if first in _OPENING and last in _CLOSING and closing(text, 0) == len(text) - 1:
        brackets = _OPENING[first] + _CLOSING[last]
        inside = text[marks[0][0] + 1 : len(text) - len(last)]
        parts = _parts(inside, forced=True)
        return Items(name, brackets, parts) if len(parts) > 1 or brackets in ("{}", "[]") else None
    parts = _parts(text, forced)
    if forced and any(_ZEROS.match(part) for part in parts):
        return None
    return Items(name, "", parts) if len(parts) > 1 else None


def unnamed(answer: str, gold: str) -> tuple[str, str]:
    """Both texts with `(x, y) = (1, 2)` as (1, 2), or as `x=1, y=2` beside an equation or relation."""
    ours, theirs = _NAMED_TUPLE.fullmatch(answer), _NAMED_TUPLE.fullmatch(gold)
    if ours and theirs and split(ours[1], {","}) == split(theirs[1], {","}):
        return ours[2], theirs[2]
    return (
        _without_names(answer, ours, _RELATED.search(gold) is not None),
        _without_names(gold, theirs, _RELATED.search(answer) is not None),
    )


def _without_names(text: str, named: re.Match[str] | None, keep: bool) -> str:
    if named is None:
        return text
    names, values = split(named[1], {","}), split(named[2][1:-1], {",", ";"})
    if len(names) != len(values):
        return text
    if not keep:
        return named[2]
    return ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


def _parts(text: str, forced: bool) -> list[str]:
    r"""`text` cut at its commas, "and"s and "or"s, and `a \pm b` as two values.

    A comma between thousands is none, unless there is no other and the whole is no number.
    """
    text = _CONNECTED.sub(", ", text)
    spaced = re.search(r"[,;]\s", text)
    if spaced or (not forced and quantity(text)):
        text = _THOUSANDS.sub("", text)
    parts = split(text.strip(" ,;"), {",", ";"})
    if len(parts) > _MOST_ITEMS:
        return [text]
    return [signed for part in parts for signed in _both_signs(part)]


def _both_signs(text: str) -> list[str]:
    if text.count(r"\pm") != 1 or r"\mp" in text:
        return [text]
    return [text.replace(r"\pm", sign) for sign in "+-"]
