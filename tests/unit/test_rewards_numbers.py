"""Exact numbers against Python's fractions, and polynomials against their values."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.rewards.answers.latex import canonical
from sightline.rewards.answers.numbers.exact_numbers import NotANumber, TooLarge
from sightline.rewards.answers.numbers.polynomials import equal, polynomial, read

FRACTIONS = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=10**4)
WRITERS = [
    lambda f: f"{f.numerator}/{f.denominator}",
    lambda f: rf"\frac{{{f.numerator}}}{{{f.denominator}}}",
    lambda f: rf"\dfrac {{ {f.numerator} }} {{ {f.denominator} }}",
    lambda f: rf"\left( {f.numerator} \div {f.denominator} \right)",
    lambda f: rf"{f.numerator} \times {f.denominator}^{{-1}}",
    lambda f: f"{f.numerator:,}/{f.denominator}",
]


def number(text):
    found, rest = read(canonical(text))
    assert rest == ""
    return found


@given(FRACTIONS, st.sampled_from(WRITERS))
def test_a_fraction_is_read_exactly(fraction, write):
    assert number(write(fraction)).rational == fraction


@given(FRACTIONS, FRACTIONS, st.sampled_from(WRITERS), st.sampled_from(WRITERS))
def test_equality_is_equality_of_values(a, b, write_a, write_b):
    assert equal(number(write_a(a)), number(write_b(b))) == (a == b)


@given(st.integers(-(10**9), 10**9), st.integers(0, 8))
def test_decimals_are_exact(digits, places):
    value = Fraction(digits, 10**places)
    sign, digits = ("-" if digits < 0 else ""), str(abs(digits)).rjust(places + 1, "0")
    text = f"{sign}{digits[: len(digits) - places]}.{digits[len(digits) - places :]}"
    assert number(text).rational == value


@given(st.integers(1, 10**8), st.integers(1, 10**4))
def test_square_roots(radicand, denominator):
    root = number(rf"\frac{{\sqrt{{{radicand}}}}}{{{denominator}}}")
    assert math.isclose(root.approximate(), math.sqrt(radicand) / denominator, rel_tol=1e-12)
    assert equal(number(rf"\frac{{1}}{{{denominator}}}\sqrt{{{radicand}}}"), root)
    assert equal(number(rf"\sqrt{{\frac{{{radicand}}}{{{denominator**2}}}}}"), root)


@given(st.integers(1, 99), st.integers(2, 99))
def test_six_agreeing_places_make_a_rounded_value_and_five_do_not(top, bottom):
    value = Fraction(top, bottom)
    exact = number(f"{top}/{bottom}")
    if exact.terminating:
        return
    assert equal(number(f"{float(value):.9f}"), exact)
    assert not equal(number(f"{float(value):.4f}"), exact)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "(",
        "((1)",
        r"\frac{1}{0}",
        "0^0",
        r"\sqrt{-1}",
        r"\frac{1}{1+\sqrt{2}}",
        "5 6",
        r"1/2\pi",
        "2^",
    ],
)
def test_no_number(text):
    with pytest.raises(NotANumber):
        read(canonical(text))


@pytest.mark.parametrize("text", ["9^{9^{9}}", "201!", "1e99999", "10^{-5000}"])
def test_too_large(text):
    with pytest.raises(TooLarge):
        read(canonical(text))


@st.composite
def expressions(draw, depth=3):
    """(LaTeX, function of x and y) of a random polynomial."""
    kind = draw(
        st.sampled_from(["number", "x", "y"] if depth == 0 else ["number", "x", "+", "-", "*", "^", "/"])
    )
    if kind == "number":
        value = draw(st.integers(0, 20))
        return str(value), lambda x, y: Fraction(value)
    if kind in "xy":
        return kind, (lambda x, y: x) if kind == "x" else (lambda x, y: y)
    left, f = draw(expressions(depth=depth - 1))
    if kind == "^":
        return f"({left})^2", lambda x, y: f(x, y) ** 2
    if kind == "/":
        return rf"\frac{{{left}}}{{3}}", lambda x, y: f(x, y) / 3
    right, g = draw(expressions(depth=depth - 1))
    if kind == "*":
        return f"({left})({right})", lambda x, y: f(x, y) * g(x, y)
    sign = 1 if kind == "+" else -1
    return f"({left}) {kind} ({right})", lambda x, y: f(x, y) + sign * g(x, y)


@given(expressions(), expressions())
def test_polynomials_are_equal_where_their_values_are(one, other):
    (left, f), (right, g) = one, other
    ours, theirs = polynomial(canonical(left)), polynomial(canonical(right))
    if ours is None or theirs is None:
        return  # too many terms to be decided here
    points = [(Fraction(x), Fraction(y)) for x in range(17, 34) for y in range(51, 68)]
    assert (ours.terms == theirs.terms) == all(f(x, y) == g(x, y) for x, y in points)
