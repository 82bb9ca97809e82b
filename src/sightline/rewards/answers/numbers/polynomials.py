r"""Exact numbers and polynomials as people write them, and when two of them are the same.

`\frac{2\sqrt{3}}{3}\pi`, `1,234.5`, `1.2 \times 10^{3}`, `3\frac12`, `2(x + 1)^2`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from ..latex import split
from ..words import is_functional
from .exact_numbers import ONE, Key, NotANumber, Terms, added, cleared, proportional, scaled
from .parser import NumberParser

_MIXED = re.compile(
    r"\s*([+-]?)\s*([0-9]{1,9})\s+([0-9]{1,9})\s*/\s*([0-9]{1,9})(?![0-9.])"
    r"(?!\s*(?:[-0-9+^/(*]|\\(?:pi|sqrt|frac|times|cdot|div)(?![A-Za-z])))"
)


@dataclass(frozen=True)
class Number:
    """An exact number, and whether it was written as a decimal."""

    terms: tuple[tuple[Key, Fraction], ...]
    decimal: bool
    """Written with a decimal point or an exponent: it may stand for a value it only approximates."""
    rounded: bool
    """Written with so many digits that it must be a rounded value."""

    @property
    def rational(self) -> Fraction | None:
        """The value if it is rational."""
        if not self.terms:
            return Fraction(0)
        return self.terms[0][1] if len(self.terms) == 1 and self.terms[0][0] == ONE else None

    @property
    def terminating(self) -> bool:
        """Whether the value can be written out as a decimal."""
        value = self.rational
        if value is None:
            return False
        rest = value.denominator
        for prime in (2, 5):
            while rest % prime == 0:
                rest //= prime
        return rest == 1

    def approximate(self) -> float:
        """The nearest float, infinite if there is none; for a number without variables."""
        try:
            return sum(
                float(value) * math.sqrt(n) * math.pi ** sum(power for _, power in powers)
                for (n, powers), value in self.terms
            )
        except OverflowError:
            return math.inf


def equal(a: Number, b: Number) -> bool:
    """Whether two numbers are the same.

    Exact values are compared exactly. A decimal equals a value that no decimal can express (1/3, √2, π),
    or one printed with ten digits or more, if both agree when rounded to six places and to a millionth:
    0.333333 is 1/3, 0.333 is not.
    """
    if a.terms == b.terms:
        return True
    if not (a.decimal or b.decimal):
        return False
    if a.terminating and b.terminating and not (a.rounded or b.rounded):
        return False
    x, y = a.approximate(), b.approximate()
    if math.isinf(x) or math.isinf(y):
        return False
    return round(x, 6) == round(y, 6) and abs(x - y) <= 1e-6 * max(abs(x), abs(y))


def difference(a: Number, b: Number) -> Terms:
    """a − b."""
    return added(dict(a.terms), scaled(dict(b.terms), -1))


def near(exact: Number, rounded: Number, written: str) -> bool:
    """Whether `rounded`, as `written`, is `exact` rounded at its last place."""
    places = len(written.partition(".")[2].rstrip("} "))
    return abs(exact.approximate() - rounded.approximate()) <= 0.500001 * 10.0**-places


def polynomial(text: str) -> Number | None:
    """A sum of products of numbers and powers of variables, the whole of canonical `text`; None for others.

    Equal terms are equal functions of the variables, unequal ones are not.
    """
    reader = NumberParser(text, variables=True)
    try:
        terms = reader.sum(0)
    except NotANumber:
        return None
    if text[reader.position :].strip():
        return None
    return Number(tuple(sorted(terms.items())), reader.decimal, reader.rounded)


def read(text: str) -> tuple[Number, str]:
    """The number at the beginning of canonical `text`, and what follows it (a unit, perhaps).

    Raises `NotANumber` if none stands there.
    """
    reader = NumberParser(text, variables=False)
    mixed = _MIXED.match(text)
    if mixed:
        sign, whole, top, bottom = mixed.groups()
        if not 0 < int(top) < int(bottom):
            raise NotANumber(text)
        value = int(whole) + Fraction(int(top), int(bottom))
        terms: Terms = {ONE: -value if sign == "-" else value}
        reader.position = mixed.end()
    else:
        terms = reader.sum(0)
    return Number(tuple(sorted(terms.items())), reader.decimal, reader.rounded), text[reader.position :]


def _same_equation(ours: Terms, theirs: Terms) -> bool:
    """Whether both are zero for the same values: one is the other times a constant, y = 3/x is xy = 3."""
    if proportional(ours, theirs):
        return True
    mine, wanted = cleared(ours), cleared(theirs)
    return mine is not None and wanted is not None and proportional(mine, wanted)


def same_polynomials(answer: str, gold: str) -> bool | None:
    """Whether two polynomials, or equations between them, are the same; None if one is no polynomial."""
    if is_functional(answer) or is_functional(gold):
        return None
    ours, theirs = [[polynomial(side) for side in split(text, {"="})] for text in (answer, gold)]
    if len(ours) != len(theirs) or len(ours) > 2:
        return None
    sides = [side for side in (*ours, *theirs) if side is not None]
    if len(sides) < len(ours) + len(theirs):
        return None
    if len(ours) == 1:
        same = sides[0].terms == sides[1].terms
    else:
        same = _same_equation(difference(sides[0], sides[1]), difference(sides[2], sides[3]))
    return None if not same and any(side.decimal for side in sides) else same
