"""Mathematical expressions: what rules them out, then polynomials, then the symbolic engine."""

from __future__ import annotations

from ..numbers.polynomials import same_polynomials
from ..numbers.units import holds_oversized_number, without_unit
from ..words import figures_named, is_expression, is_functional, variables
from .comparison import Comparison, Match

_DEGREE = r"^\circ"


def unit(answer: str, gold: str, comparison: Comparison) -> Match | tuple[str, str]:
    """Units are taken off; two of them must be the same one. A degree sign may be left out."""
    (ours, own), (theirs, wanted) = map(without_unit, _degrees_left_out(answer, gold))
    if own and wanted and own != wanted:
        return Match(False, "symbolic", f"the unit is {own}, not {wanted}")
    return ours, theirs


def _degrees_left_out(answer: str, gold: str) -> tuple[str, str]:
    r"""Both without degree signs if only one has them and there are no radians: 180° - x is 180 - x."""
    both = (answer, gold)
    if is_functional(answer + gold) or r"\pi" in answer + gold or all(_DEGREE in text for text in both):
        return both
    return answer.replace(_DEGREE, ""), gold.replace(_DEGREE, "")


def same_variables(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """Expressions in different variables differ."""
    if variables(answer) != variables(gold):
        return comparison.differs("symbolic", "has other variables than")
    return None


def one_reading(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """What holds anything but mathematics, or reads two ways (`1/2x`), is not compared."""
    return None if is_expression(answer) and is_expression(gold) else comparison.differs("text")


def figure(answer: str, gold: str, comparison: Comparison) -> Match | tuple[str, str]:
    r"""`\angle ABC` and other figures are named by their points, as one variable each."""
    figures = figures_named(answer, gold)
    if figures is None or variables(figures[0]) != variables(figures[1]):
        return comparison.differs("symbolic", "is another figure than")
    return figures


def polynomial(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """Polynomials and equations between them are compared exactly."""
    exactly = same_polynomials(answer, gold)
    return None if exactly is None else comparison.verdict(exactly, "polynomial")


def size_limit(answer: str, gold: str, comparison: Comparison) -> Match | None:
    """An answer with a number that exceeds the size limit differs from a gold without one."""
    if holds_oversized_number(answer) and not holds_oversized_number(gold):
        return Match(False, "number", "the answer holds a number that exceeds the size limit")
    return None


def symbolic(answer: str, gold: str, comparison: Comparison) -> Match:
    """Everything else is decided by the symbolic engine."""
    return comparison.verdict(comparison.symbolic(gold, answer), "symbolic")
