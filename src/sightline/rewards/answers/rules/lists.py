r"""Lists, tuples, sets, intervals, ratios and ranges: item by item."""

from __future__ import annotations

import re

from ..latex import split
from ..numbers.units import quantity, same_quantity
from ..words import AND, OR, as_interval, as_union, variables
from .comparison import Comparison, Match
from .equations import RELATION, labelled
from .list_items import Items, items_of


def union(answer: str, gold: str, comparison: Comparison) -> tuple[str, str] | None:
    r"""Relations joined by "or" become a union of intervals, if the other side is a `\cup`."""
    if r"\cup" in answer + gold:
        return as_union(answer) or answer, as_union(gold) or gold
    return None


def list_of_items(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """Lists, tuples, sets and intervals are compared item by item, in order where it counts."""
    left, right = items_of(answer), items_of(gold)
    if left is None and right is None:
        return None
    left, right = left or items_of(answer, forced=True), right or items_of(gold, forced=True)
    if left is None or right is None:
        return _list_against_one(answer, gold, left, right, comparison)
    brackets = {left.brackets, right.brackets}
    if len(brackets) > 1 and brackets not in ({"", "{}"}, {"", "()"}):
        return Match(False, "list", f"brackets {left.brackets!r} instead of {right.brackets!r}")
    if RELATION.search(gold) and {
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
    missing = _missing(answers, right.parts, ordered, comparison)
    return Match(missing is None, "list", None if missing is None else f"{missing} is not where it should be")


def _list_against_one(
    answer: str, gold: str, left: Items | None, right: Items | None, comparison: Comparison
) -> Match | None:
    """A list on one side only: `x = (1, 2)` against (1, 2), `\\{5\\}` against 5, (1, 2) against 1 < x < 2."""
    items = left or right
    assert items is not None
    alone = gold if left else answer
    label, value = labelled(split(alone, {"="}))
    if items.brackets == "{}" and len(items.parts) == 1 and items.parts != [r"\emptyset"]:
        answer, gold = (items.parts[0], gold) if left else (answer, items.parts[0])
    elif "=" in alone and label is not None:
        answer, gold = (answer, value) if left else (value, gold)
    elif items.brackets and not items.label and (RELATION.search(answer) or RELATION.search(gold)):
        return None
    else:
        return Match(False, "list", "one value against several")
    return comparison.inner(answer, gold)


def _missing(answers: list[str], golds: list[str], ordered: bool, comparison: Comparison) -> str | None:
    """The first of `answers` that has no counterpart of its own; None if all have."""
    left = list(golds)
    for answer in answers:
        candidates = left[:1] if ordered else left
        found = next((gold for gold in candidates if comparison.inner(answer, gold).same), None)
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


def ratio(answer: str, gold: str, comparison: Comparison) -> Match | None:
    r"""Ratios `1:2`, times `5:30 pm` and ranges `3 \to 5` are compared part by part."""
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
            return comparison.verdict(same, "list")
    return None


def _minutes(parts: list[str]) -> list[str]:
    """What stands behind the first colon with a zero in front: 3:05 is a time, and not 3:5."""
    return [digits[0] if (digits := re.match("0[0-9]+", part)) else "" for part in parts[1:]]


def interval(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """Relations are compared as intervals, if one side is a relation or both are about one variable."""
    ours, theirs = as_interval(answer), as_interval(gold)
    if bool(RELATION.search(gold)) != bool(RELATION.search(answer)):
        ours, theirs = ours or answer, theirs or gold
        return comparison.inner(ours, theirs) if (ours, theirs) != (answer, gold) else None
    about = variables(answer)
    if ours and theirs and len(about) == 1 and about == variables(gold):
        return comparison.inner(ours, theirs)
    return None
