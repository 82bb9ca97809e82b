r"""Whether two answers say the same, by their structure: lists, brackets, equations, numbers, words.

What structure and exact numbers cannot decide goes to `symbolic(gold, answer)`, which the caller
provides: in a worker it is math-verify, in the user's own process it raises `Undecided`, and the whole
question is then put to a worker. Text is only ever compared as text: no containment, no evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .choices import announced
from .collections import Items, items_of, unnamed
from .latex import canonical, closing, compact, split
from .polynomials import near, same_polynomials
from .units import beyond_measure, holds_beyond_measure, quantity, same_quantity, without_unit
from .words import (
    AND,
    OR,
    as_interval,
    as_union,
    figures_named,
    is_expression,
    is_functional,
    is_name,
    is_sum_of_names,
    is_worded,
    same_words,
    variables,
)

Symbolic = Callable[[str, str], bool]
"""Whether two expressions, gold first, are mathematically equal."""

_RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|in|subset|equiv|sim|parallel|perp|cong)(?![A-Za-z])")
_MEMBER = re.compile(r"^\s*([A-Za-z])\s*\\in(?![A-Za-z])")
_RANGE = re.compile(r"([0-9.]+)\s*-\s*([0-9.]+)")
_DEGREE = r"^\circ"
_DEEPEST = 6


class Undecided(Exception):  # noqa: N818 (a finding, not a failure)
    """Only a symbolic comparison can tell."""


@dataclass(frozen=True)
class Match:
    """Whether two answers are the same, and what decided it."""

    same: bool
    how: str
    why_not: str | None = None


def match(answer: str, gold: str, symbolic: Symbolic) -> Match:
    """Compares two answers as they stand in a box; the gold is trusted to be written soberly.

    Raises `Undecided`, or whatever else `symbolic` raises.
    """
    answer, gold = _prepared(announced(canonical(answer))), _prepared(canonical(gold))
    if not answer:
        return Match(False, "empty", "the box is empty")
    span = _RANGE.fullmatch(gold)
    if span and quantity(span[1]) and quantity(span[2]) and len(span[1]) <= len(span[2]):
        answer, gold = _RANGE.sub(r"\1\\to \2", answer), _RANGE.sub(r"\1\\to \2", gold)
    return _compared(answer, gold, symbolic, 0)


def _prepared(text: str) -> str:
    r"""A leading `=` or `≈` dropped, `x \in S` written as `x = S`."""
    text = re.sub(r"^(?:=|\\approx(?![A-Za-z]))\s*", "", text)
    return _MEMBER.sub(r"\1 =", text)


def _compared(answer: str, gold: str, symbolic: Symbolic, depth: int) -> Match:
    """One level of the structure; the items of lists and the sides of equations come back here."""
    answer, gold = unnamed(_unbracketed(answer), _unbracketed(gold))
    if compact(answer) == compact(gold):
        return Match(True, "number" if quantity(gold) else "text")
    if depth > _DEEPEST:
        return Match(False, "list", "nested too deeply to compare")
    if r"\cup" in answer + gold:
        answer, gold = as_union(answer) or answer, as_union(gold) or gold
    for compare in (_as_lists, _as_equations, _as_ratios, _as_quantities):
        decided = compare(answer, gold, symbolic, depth + 1)
        if decided:
            return decided
    ours, theirs = _as_intervals(answer, gold)
    if (ours, theirs) != (answer, gold):
        return _compared(ours, theirs, symbolic, depth + 1)
    if is_worded(answer) or is_worded(gold):
        return _verdict(same_words(answer, gold), "text", answer, gold)
    return _as_expressions(answer, gold, symbolic)


def _as_intervals(answer: str, gold: str) -> tuple[str, str]:
    """Relations as intervals, if only one side is a relation, or both are about the same one variable."""
    ours, theirs = as_interval(answer), as_interval(gold)
    if bool(_RELATION.search(gold)) != bool(_RELATION.search(answer)):
        return ours or answer, theirs or gold
    about = variables(answer)
    return (
        (ours, theirs) if ours and theirs and len(about) == 1 and about == variables(gold) else (answer, gold)
    )


def _unbracketed(text: str) -> str:
    """`text` without parentheses around the whole of a single value."""
    while text.startswith("(") and closing(text, 0) == len(text) - 1 and text[-1] == ")":
        if len(split(text[1:-1], {",", ";"})) > 1:
            break
        text = text[1:-1].strip()
    return text


def _as_lists(answer: str, gold: str, symbolic: Symbolic, depth: int) -> Match | None:
    """Lists, tuples, sets and intervals; None if neither side is one."""
    left, right = items_of(answer), items_of(gold)
    if left is None and right is None:
        return None
    left, right = left or items_of(answer, forced=True), right or items_of(gold, forced=True)
    if left is None or right is None:
        return _list_against_one(answer, gold, left, right, symbolic, depth)
    brackets = {left.brackets, right.brackets}
    if len(brackets) > 1 and brackets not in ({"", "{}"}, {"", "()"}):
        return Match(False, "list", f"brackets {left.brackets!r} instead of {right.brackets!r}")
    if _RELATION.search(gold) and {
        bool(AND.search(text)) - bool(OR.search(text)) for text in (answer, gold)
    } == {1, -1}:
        return Match(False, "list", '"and" is not "or"')
    alternatives = any(
        not items.brackets and OR.search(text) for items, text in ((left, answer), (right, gold))
    )
    if alternatives and "()" in brackets:
        return Match(False, "list", "alternatives are no tuple")
    if left.label and right.label and left.label != right.label:
        return Match(False, "list", f"{left.label} instead of {right.label}")
    if len(left.parts) != len(right.parts):
        return Match(False, "list", f"{len(left.parts)} values instead of {len(right.parts)}")
    answers, ordered = _in_order(left.parts, right.parts)
    ordered = ordered or not brackets <= {"", "{}"}
    missing = _missing(answers, right.parts, ordered, symbolic, depth)
    return Match(missing is None, "list", None if missing is None else f"{missing} is not where it should be")


def _list_against_one(
    answer: str, gold: str, left: Items | None, right: Items | None, symbolic: Symbolic, depth: int
) -> Match | None:
    """A list on one side only: `x = (1, 2)` against (1, 2), `\\{5\\}` against 5, (1, 2) against 1 < x < 2."""
    items = left or right
    assert items is not None
    alone = gold if left else answer
    label, value = _labelled(split(alone, {"="}))
    if items.brackets == "{}" and len(items.parts) == 1 and items.parts != [r"\emptyset"]:
        answer, gold = (items.parts[0], gold) if left else (answer, items.parts[0])
    elif "=" in alone and label is not None:
        answer, gold = (answer, value) if left else (value, gold)
    elif items.brackets and not items.label and (_RELATION.search(answer) or _RELATION.search(gold)):
        return None
    else:
        return Match(False, "list", "one value against several")
    return _compared(answer, gold, symbolic, depth)


def _missing(
    answers: list[str], golds: list[str], ordered: bool, symbolic: Symbolic, depth: int
) -> str | None:
    """The first of `answers` that has no counterpart of its own; None if all have."""
    left = list(golds)
    for answer in answers:
        candidates = left[:1] if ordered else left
        found = next((gold for gold in candidates if _compared(answer, gold, symbolic, depth).same), None)
        if found is None:
            return answer
        left.remove(found)
    return None


def _in_order(answers: list[str], golds: list[str]) -> tuple[list[str], bool]:
    """`answers`, and whether their order counts: named values (x=3, y=4) against bare ones go by name."""
    named = [[part.partition("=")[0].strip() for part in parts] for parts in (answers, golds)]
    by_name = [all("=" in part for part in parts) and len({n[:1] for n in names}) > 1
               for parts, names in zip((answers, golds), named, strict=True)]  # fmt: skip
    if by_name == [True, False]:
        return [part for _, part in sorted(zip(named[0], answers, strict=True))], True
    return answers, by_name == [False, True]


def _as_equations(answer: str, gold: str, symbolic: Symbolic, depth: int) -> Match | None:
    """`x = 7` against 7, `y = 2x + 3` against `2x + 3 = y`; None if neither side is an equation."""
    ours, theirs = split(answer, {"=", r"\approx"}), split(gold, {"="})
    if len(ours) == 1 and len(theirs) == 1:
        return None
    if not all(ours) or not all(theirs):
        return Match(False, "equation", "an equation without one of its sides")
    if len(theirs) == 1:
        return _value_of_equation(answer, ours, gold, symbolic, depth)
    label, value = _labelled(theirs)
    if len(ours) == 1:
        same = label is not None and _compared(answer, value, symbolic, depth).same
        return _verdict(same, "equation", answer, gold)
    name, mine = _labelled(ours)
    if label is not None and name is not None and compact(label) == compact(name):
        return _verdict(_compared(mine, value, symbolic, depth).same, "equation", answer, gold)
    if len(ours) != 2 or len(theirs) != 2 or variables(answer) != variables(gold):
        return Match(False, "equation", f"{answer} is another equation than {gold}")
    return _as_expressions(answer, gold, symbolic)


def _labelled(sides: list[str]) -> tuple[str | None, str]:
    """The name in an assignment and its (last) value; no name if it is a true equation."""
    if is_name(sides[0]):
        return sides[0], sides[-1]
    if len(sides) == 2 and is_name(sides[1]):
        return sides[1], sides[0]
    return None, sides[-1]


def _value_of_equation(answer: str, sides: list[str], gold: str, symbolic: Symbolic, depth: int) -> Match:
    """An equation as answer to a plain gold: a label, then values that must all be the gold."""
    interval = as_interval(gold) if len(sides) == 2 and is_name(sides[0]) else None
    if interval:
        return _compared(sides[1], interval, symbolic, depth)
    if _RELATION.search(gold):
        return Match(False, "equation", f"{answer} is no relation such as {gold}")
    if is_sum_of_names(sides[0]):
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
    same = all(_compared(value, gold, symbolic, depth).same for value in [*steps, last])
    return _verdict(same, "equation", answer, gold)


def _approximated(exact: str, rounded: str, gold: str) -> Match:
    r"""`1/3 \approx 0.333`: either may be the gold, if the one is the other rounded."""
    one, other, wanted = quantity(exact), quantity(rounded), quantity(gold)
    if one and other and wanted and near(one.number, other.number, rounded):
        same = same_quantity(one, wanted) or same_quantity(other, wanted)
        return _verdict(same, "equation", f"{exact} or {rounded}", gold)
    return Match(False, "equation", f"{rounded} is not {exact}, rounded")


def _as_ratios(answer: str, gold: str, symbolic: Symbolic, depth: int) -> Match | None:
    r"""`1:2`, `5:30 pm`, and the ranges `3 \to 5`, part by part; None if neither side is one."""
    for sign in (":", r"\to"):
        ours, theirs = split(answer, {sign}), split(gold, {sign})
        if len(ours) > 1 or len(theirs) > 1:
            pairs = [(quantity(a), quantity(b)) for a, b in zip(ours, theirs, strict=False)]
            if all(a is None and b is None for a, b in pairs):
                return None
            same = (
                len(ours) == len(theirs)
                and _minutes(ours) == _minutes(theirs)
                and all(a and b and not a.uncertain and same_quantity(a, b) for a, b in pairs)
            )
            return _verdict(same, "list", answer, gold)
    return None


def _minutes(parts: list[str]) -> list[str]:
    """What stands behind the first colon with a zero in front: 3:05 is a time, and not 3:5."""
    return [digits[0] if (digits := re.match("0[0-9]+", part)) else "" for part in parts[1:]]


def _as_quantities(answer: str, gold: str, symbolic: Symbolic, depth: int) -> Match | None:
    """Two numbers, decided exactly; a number against anything with a variable or a word differs."""
    ours, theirs = quantity(answer), quantity(gold)
    if ours and theirs:
        variable = ours.uncertain and not theirs.unit and depth > 1  # the t of (2t, 5)
        return _verdict(not variable and same_quantity(ours, theirs), "number", answer, gold)
    number, other = (ours, gold) if ours else (theirs, answer)
    if number is None or (number.uncertain and not is_worded(other)):
        return None
    if theirs and beyond_measure(answer):
        return Match(False, "number", "the answer is a number beyond all measure")
    if r"\infty" in other or _RELATION.search(other) or not _may_be_number(without_unit(other)[0]):
        return Match(False, "number" if ours else "text", f"{answer} is not {gold}")
    return None


def _may_be_number(text: str) -> bool:
    return not variables(text) and is_expression(text)


def _as_expressions(answer: str, gold: str, symbolic: Symbolic) -> Match:
    """Whatever is left: mathematics, for the symbolic engine if both sides use the same variables."""
    (ours, unit), (theirs, wanted) = map(without_unit, _degrees_left_out(answer, gold))
    if unit and wanted and unit != wanted:
        return Match(False, "symbolic", f"the unit is {unit}, not {wanted}")
    if variables(ours) != variables(theirs):
        return Match(False, "symbolic", f"{answer} has other variables than {gold}")
    if not (is_expression(ours) and is_expression(theirs)):
        return Match(False, "text", f"{answer} is not {gold}")
    figures = figures_named(ours, theirs)
    if figures is None or variables(figures[0]) != variables(figures[1]):
        return Match(False, "symbolic", f"{answer} is another figure than {gold}")
    ours, theirs = figures
    exactly = same_polynomials(ours, theirs)
    if exactly is not None:
        return _verdict(exactly, "polynomial", answer, gold)
    if holds_beyond_measure(ours) and not holds_beyond_measure(theirs):
        return Match(False, "number", "the answer holds a number beyond all measure")
    return _verdict(symbolic(theirs, ours), "symbolic", answer, gold)


def _degrees_left_out(answer: str, gold: str) -> tuple[str, str]:
    r"""Both without degree signs if only one has them and there are no radians: 180° - x is 180 - x."""
    both = (answer, gold)
    if is_functional(answer + gold) or r"\pi" in answer + gold or all(_DEGREE in text for text in both):
        return both
    return answer.replace(_DEGREE, ""), gold.replace(_DEGREE, "")


def _verdict(same: bool, how: str, answer: str, gold: str) -> Match:
    return Match(same, how, None if same else f"{answer} is not {gold}")
