"""Single values: the same text, numbers with units, words."""

from __future__ import annotations

from ..latex import compact
from ..numbers.units import exceeds_size_limit, quantity, same_quantity, without_unit
from ..words import is_expression, is_worded, same_words, variables
from .comparison import Comparison, Match
from .equations import RELATION

_DEEPEST = 6


def same_text(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """The same text is the same answer; white space does not count."""
    if compact(answer) == compact(gold):
        return Match(True, "number" if quantity(gold) else "text")
    return None


def nesting(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """Lists in lists in equations, more than six levels in, are not compared."""
    return Match(False, "list", "nested too deeply to compare") if comparison.depth > _DEEPEST else None


def number(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """Two numbers are compared exactly; a number differs from anything with a variable or a word."""
    ours, theirs = quantity(answer), quantity(gold)
    if ours and theirs:
        variable = ours.uncertain and not theirs.unit and comparison.depth > 0  # the t of (2t, 5)
        return comparison.verdict(not variable and same_quantity(ours, theirs), "number")
    known, other = (ours, gold) if ours else (theirs, answer)
    if known is None or (known.uncertain and not is_worded(other)):
        return None
    if theirs and exceeds_size_limit(answer):
        return Match(False, "number", "the answer is a number that exceeds the size limit")
    if r"\infty" in other or RELATION.search(other) or not _may_be_number(without_unit(other)[0]):
        return comparison.differs("number" if ours else "text")
    return None


def _may_be_number(text: str) -> bool:
    return not variables(text) and is_expression(text)


def words(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """Words are compared as words; they never reach the symbolic engine."""
    if is_worded(answer) or is_worded(gold):
        return comparison.verdict(same_words(answer, gold), "text")
    return None
