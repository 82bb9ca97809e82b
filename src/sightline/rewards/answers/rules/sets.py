r"""Sets by their condition, `\{x \mid x > 2\}`, as what the condition says of x."""

from __future__ import annotations

import re

from ..latex import closing, split
from ..words import OR, as_interval, as_union, variables
from .comparison import Comparison

_BUILDER = re.compile(
    r"\\\{\s*([A-Za-z])\s*(?:\\in\s*(?:\\(?:mathbb|mathbf|text|mathrm)\s*\{\s*R\s*\}|R)\s*)?"
    r"(?:\\(?:mid|vert|colon)(?![A-Za-z])|\||:)\s*"
)
_EQUAL = re.compile(r"\s*([A-Za-z])\s*=([^=<>]+)")


def set_builder(answer: str, gold: str, comparison: Comparison) -> tuple[str, str] | None:
    r"""`\{x \mid x > 2\}` is read as its condition, `x \ne 5` beside another relation as a union."""
    if "{" not in answer + gold and r"\ne" not in answer + gold:
        return None
    ours, theirs = _conditions(answer), _conditions(gold)
    if r"\ne" in ours + theirs and ours != theirs:
        ours, theirs = _unequal(ours), _unequal(theirs)
    return (ours, theirs) if (ours, theirs) != (answer, gold) else None


def _conditions(text: str) -> str:
    parts = split(text, {r"\cup"})
    return r" \cup ".join(_condition(part) for part in parts) if _BUILDER.search(text) else text


def _condition(text: str) -> str:
    builder = _BUILDER.match(text)
    if builder is None or closing(text, 0) != len(text) - 1 or not text.endswith(r"\}"):
        return text
    condition = text[builder.end() : -2].strip()
    equal = [_EQUAL.fullmatch(part) for part in OR.split(condition)]
    if all(one is not None and one[1] == builder[1] for one in equal):
        return r"\{" + ", ".join(one[2].strip() for one in equal if one) + r"\}"
    if builder[1] not in variables(condition):
        return text
    return as_interval(condition) or as_union(condition) or condition


def _unequal(text: str) -> str:
    r"""`x \ne 5` as `(-\infty, 5) \cup (5, \infty)`, relations joined by "or" as their union."""
    sides = [side.strip() for side in split(text, {r"\ne"})]
    if len(sides) == 2 and re.fullmatch("[A-Za-z]", sides[1]):
        sides.reverse()
    if len(sides) == 2 and re.fullmatch("[A-Za-z]", sides[0]) and sides[1] and not variables(sides[1]):
        return rf"(-\infty, {sides[1]}) \cup ({sides[1]}, \infty)"
    return as_union(text) or text
