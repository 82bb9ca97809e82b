r"""Equations: `x = 7` against 7, `2+5 = 7` against 7, `y = 2x + 3` against `2x + 3 = y`."""

from __future__ import annotations

import re

from ..latex import compact, split
from ..numbers.polynomials import near
from ..numbers.units import quantity, same_quantity
from ..words import as_interval, is_name, is_ratio_of_names, is_sum_of_names, turned, variables
from .comparison import Comparison, Match

RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|in|subset|equiv|sim|parallel|perp|cong)(?![A-Za-z])")


def equation(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """An equation is compared by its value, or with another equation in the same variables."""
    ours, theirs = split(answer, {"=", r"\approx"}), split(gold, {"="})
    if len(ours) == 1 and len(theirs) == 1:
        return None
    if not all(ours) or not all(theirs):
        return Match(False, "equation", "an equation without one of its sides")
    if len(theirs) == 1:
        return _value_of_equation(answer, ours, gold, comparison)
    label, value = labelled(theirs)
    if len(ours) == 1:
        same = label is not None and comparison.inner(answer, value).same
        return comparison.verdict(same, "equation")
    name, mine = labelled(ours)
    if label is not None and name is not None and compact(label) == compact(name):
        return comparison.verdict(comparison.inner(mine, value).same, "equation")
    if label and name and len(ours) == len(theirs) == 2 and compact(turned(label)) == compact(name):
        return comparison.verdict(comparison.inner(_inverted(mine), value).same, "equation")
    if len(ours) != 2 or len(theirs) != 2 or variables(answer) != variables(gold):
        return comparison.differs("equation", "is another equation than")
    return comparison.decide(answer, gold, after="words")


def labelled(sides: list[str]) -> tuple[str | None, str]:
    """The name in an assignment and its (last) value; no name if it is a true equation.

    A ratio or quotient of names is a name: `AB:CD = 1:2`.
    """
    if is_name(sides[0]) or is_ratio_of_names(sides[0]):
        return sides[0], sides[-1]
    if len(sides) == 2 and is_name(sides[1]):
        return sides[1], sides[0]
    return None, sides[-1]


def _inverted(value: str) -> str:
    r"""A ratio from its end, or one divided by a number: `1:2` as `2:1`, `\frac12` as `1/\frac12`."""
    parts = split(value, {":"})
    return ":".join(reversed(parts)) if len(parts) > 1 else rf"\frac{{1}}{{{value}}}"


def _value_of_equation(answer: str, sides: list[str], gold: str, comparison: Comparison) -> Match:
    """An equation as answer to a plain gold: a label, then values that must all be the gold."""
    interval = as_interval(gold) if len(sides) == 2 and is_name(sides[0]) else None
    if interval:
        return comparison.inner(sides[1], interval)
    if RELATION.search(gold):
        return comparison.differs("equation", "is no relation such as")
    if is_sum_of_names(sides[0]) or is_ratio_of_names(sides[0]):
        values = sides[1:]
    elif is_name(sides[-1]):
        values = sides[:-1]
    else:
        values = sides
    steps, last = values[:-1], values[-1]
    if len(values) < len(sides):
        steps = [step for step in steps if not variables(step)]
    if r"\approx" in answer and steps:
        return _approximated(steps[-1], last, gold)
    same = all(comparison.inner(value, gold).same for value in [*steps, last])
    return comparison.verdict(same, "equation")


def _approximated(exact: str, rounded: str, gold: str) -> Match:
    r"""`1/3 \approx 0.333`: either may be the gold, if the one is the other rounded."""
    one, other, wanted = quantity(exact), quantity(rounded), quantity(gold)
    if one and other and wanted and near(one.number, other.number, rounded):
        same = same_quantity(one, wanted) or same_quantity(other, wanted)
        return Match(same, "equation", None if same else f"{exact} or {rounded} is not {gold}")
    return Match(False, "equation", f"{rounded} is not {exact}, rounded")
