r"""Whether two answers say the same: `RULES`, asked in their order until one decides.

What structure and exact numbers cannot decide goes to `symbolic(gold, answer)`, which the caller
provides: in a worker it is math-verify, in the user's own process it raises `Undecided`, and the whole
question is then put to a worker. Text is only ever compared as text: no containment, no evaluation.
"""

from __future__ import annotations

import re

from .choices import announced
from .latex import canonical, closing, split
from .rules import equations, expressions, lists, ranges, sets, values
from .rules.comparison import Comparison, EqualityRule, Match, Symbolic
from .rules.list_items import unnamed

RULES: tuple[EqualityRule, ...] = (
    EqualityRule("same text", values.same_text),
    EqualityRule("nesting", values.nesting),
    EqualityRule("date", ranges.date),
    EqualityRule("range", ranges.span),
    EqualityRule("set builder", sets.set_builder),
    EqualityRule("union", lists.union),
    EqualityRule("list", lists.list_of_items),
    EqualityRule("equation", equations.equation),
    EqualityRule("ratio", lists.ratio),
    EqualityRule("number", values.number),
    EqualityRule("interval", lists.interval),
    EqualityRule("words", values.words),
    EqualityRule("unit", expressions.unit),
    EqualityRule("variables", expressions.same_variables),
    EqualityRule("one reading", expressions.one_reading),
    EqualityRule("figure", expressions.figure),
    EqualityRule("polynomial", expressions.polynomial),
    EqualityRule("size limit", expressions.size_limit),
    EqualityRule("symbolic", expressions.symbolic),
)
"""In the order in which they are asked; the last one always decides. docs/grading.md shows the same table."""

_MEMBER = re.compile(r"^\s*([A-Za-z])\s*\\in(?![A-Za-z])")


def match(answer: str, gold: str, symbolic: Symbolic) -> Match:
    """Compares two answers as they stand in a box; the gold is trusted to be written in usual notation.

    Raises `Undecided`, or whatever else `symbolic` raises.
    """
    answer, gold = _prepared(announced(canonical(answer))), _prepared(canonical(gold))
    if not answer:
        return Match(False, "empty", "the box is empty")
    return _compared(answer, gold, symbolic, 0)


def _prepared(text: str) -> str:
    r"""A leading `=` or `≈` dropped, `x \in S` written as `x = S`."""
    text = re.sub(r"^(?:=|\\approx(?![A-Za-z]))\s*", "", text)
    return _MEMBER.sub(r"\1 =", text)


def _compared(answer: str, gold: str, symbolic: Symbolic, depth: int) -> Match:
    """One level of the structure; the items of lists and the sides of equations come back here."""
    answer, gold = unnamed(_unbracketed(answer), _unbracketed(gold))
    return Comparison(answer, gold, RULES, symbolic, _compared, depth).decide(answer, gold)


def _unbracketed(text: str) -> str:
    """`text` without parentheses around the whole of a single value."""
    while text.startswith("(") and closing(text, 0) == len(text) - 1 and text[-1] == ")":
        if len(split(text[1:-1], {",", ";"})) > 1:
            break
        text = text[1:-1].strip()
    return text
