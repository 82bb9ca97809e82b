r"""Exact arithmetic on sums of rational multiples of √n·π^k·x^a·y^b…, with every size bounded.

Equality in this ring is decided exactly and in microseconds, without a symbolic engine. Whatever
lies outside it raises `NotANumber`, and `TooLarge` if it lies inside but exceeds the size limit.
"""

from __future__ import annotations

import math
from fractions import Fraction

Powers = tuple[tuple[str, int], ...]
"""The powers of π and of variables, in order of their names."""
Key = tuple[int, Powers]
"""A square-free n under a root, and powers."""
Terms = dict[Key, Fraction]
"""Coefficients by key; none is zero. √12·π²/x is {(3, (("x", -1), ("π", 2))): 2}."""

ONE: Key = (1, ())
PI = "π"
_MAX_BITS = 4096
_MAX_TERMS = 16
_MAX_RADICAND = 10**8


class NotANumber(ValueError):  # noqa: N818 (a finding, not a failure)
    """The text is no number that is read exactly here."""


class TooLarge(NotANumber):
    """A number, but one of more than a thousand digits (`9^{9^{9}}`, `99999999!`)."""


def clean(terms: Terms) -> Terms:
    """`terms` without zeros; raises if what is left is too large to go on with."""
    kept = {key: value for key, value in terms.items() if value}
    if any(_bits(value) > _MAX_BITS for value in kept.values()):
        raise TooLarge("more than a thousand digits")
    if len(kept) > _MAX_TERMS:
        raise NotANumber("too many different terms")
    return kept


def added(a: Terms, b: Terms) -> Terms:
    """a + b."""
    return clean({key: a.get(key, Fraction(0)) + b.get(key, Fraction(0)) for key in a | b})


def scaled(terms: Terms, factor: int) -> Terms:
    """`terms` times an integer."""
    return {key: value * factor for key, value in terms.items()}


def multiplied(a: Terms, b: Terms) -> Terms:
    """a · b, by √n·√m = gcd(n, m)·√(nm / gcd²)."""
    product: Terms = {}
    for (n, left), x in a.items():
        for (m, right), y in b.items():
            shared = math.gcd(n, m)
            key = (n * m // shared**2, _together(left, right))
            product[key] = product.get(key, Fraction(0)) + x * y * shared
    return clean(product)


def inverse(terms: Terms) -> Terms:
    """1 / a for a single term; zero and sums of roots have none here."""
    if len(terms) != 1:
        raise NotANumber("a division by zero or by a sum of roots")
    (((n, powers), value),) = terms.items()
    return clean({(n, tuple((name, -power) for name, power in powers)): 1 / (value * n)})


def raised(base: Terms, exponent: Terms) -> Terms:
    """a^b for an integer b whose result stays small, or for b = 1/2."""
    if exponent == {ONE: Fraction(1, 2)}:
        return root(base, {ONE: Fraction(2)})
    power = _integer(exponent)
    bits = max((_bits(value) for value in base.values()), default=0)
    if base in ({ONE: Fraction(1)}, {}) and power > 0:
        return base
    if abs(power) * max(bits - 1, 1) > _MAX_BITS:
        raise TooLarge("too large a power")
    if (not base and power == 0) or (len(base) != 1 and not 0 <= power <= 4):
        raise NotANumber("zero to the power of zero, or a power of a sum")
    if power < 0:
        base, power = inverse(base), -power
    value: Terms = {ONE: Fraction(1)}
    while power:
        value = multiplied(value, base) if power % 2 else value
        power //= 2
        base = multiplied(base, base) if power else base
    return value


def root(radicand: Terms, order: Terms) -> Terms:
    """The square root of a positive fraction, or a higher one that comes out even; odd ones of negatives."""
    if not radicand:
        return {}
    value, degree = radicand.get(ONE, Fraction(0)), _integer(order)
    if len(radicand) == 1 and value < 0 and degree % 2:
        return scaled(root(scaled(radicand, -1), order), -1)
    if len(radicand) != 1 or value <= 0:
        raise NotANumber("an even root of a negative number, or a root of a variable or of a sum")
    if degree != 2:
        return {ONE: Fraction(_even_root(value.numerator, degree), _even_root(value.denominator, degree))}
    (a, b), (c, d) = _square_free(value.numerator), _square_free(value.denominator)  # a√b / c√d
    return {(b * d, ()): Fraction(a, c * d)}


def factorial(terms: Terms) -> Terms:
    """n! for 0 ≤ n ≤ 200."""
    number = _integer(terms)
    if number < 0:
        raise NotANumber("a factorial of a negative number")
    if number > 200:
        raise TooLarge("too large a factorial")
    return {ONE: Fraction(math.factorial(number))}


def proportional(a: Terms, b: Terms) -> bool:
    """Whether a is b times a constant other than zero, so that a = 0 and b = 0 are one equation."""
    if not a or a.keys() != b.keys():
        return False
    return len({a[key] / b[key] for key in a}) == 1


def cleared(terms: Terms) -> Terms | None:
    """`terms` = 0 without variables below a fraction bar: y − 3/x as x·y − 3.

    None if that would be another equation, since x = 0 solves it (y/x − 3 and y − 3x).
    """
    least: dict[str, int] = {}
    for _, powers in terms:
        for name, power in powers:
            if name != PI and power < 0:
                least[name] = min(least.get(name, 0), power)
    if not least:
        return terms
    factor: Terms = {(1, tuple(sorted((name, -power) for name, power in least.items()))): Fraction(1)}
    whole = multiplied(terms, factor)
    for name in least:
        rest = [powers for _, powers in whole if all(variable != name for variable, _ in powers)]
        if len(rest) != 1 or any(variable != PI for variable, _ in rest[0]):
            return None
    return whole


def _together(
    left: tuple[tuple[str, int], ...], right: tuple[tuple[str, int], ...]
) -> tuple[tuple[str, int], ...]:
    """The powers of a product."""
    if not left or not right:
        return left or right
    powers = dict(left)
    for name, power in right:
        powers[name] = powers.get(name, 0) + power
    return tuple(sorted((name, power) for name, power in powers.items() if power))


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _integer(terms: Terms) -> int:
    value = terms.get(ONE, Fraction(0))
    if any(key != ONE for key in terms) or value.denominator != 1:
        raise NotANumber("not an integer")
    return value.numerator


def _even_root(number: int, degree: int) -> int:
    if not 2 < degree <= 10 or number > 10**15:
        raise NotANumber("no exact root")
    candidate = round(number ** (1 / degree))
    if candidate**degree != number:
        raise NotANumber("no exact root")
    return candidate


def _square_free(number: int) -> tuple[int, int]:
    """(a, b) with number = a²·b and b square-free."""
    whole = math.isqrt(number)
    if whole * whole == number:
        return whole, 1
    if number > _MAX_RADICAND:
        raise NotANumber("too large a radicand")
    outside, factor = 1, 2
    while factor * factor <= number:
        while number % (factor * factor) == 0:
            number //= factor * factor
            outside *= factor
        factor += 1
    return outside, number
