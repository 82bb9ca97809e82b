"""Mathematical equality by math-verify; imported by worker processes only.

math-verify's own time limits use signals and are switched off: a worker that takes too long is killed
from outside. Its expression reader, which evaluates text, is not used, only its LaTeX grammar; and the
`eval` by which SymPy turns the digits of a literal into a number is replaced below.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify
from sympy import Eq, Float, I, Integer, N, Rational, Symbol, SympifyError, simplify
from sympy.parsing import sympy_parser

from .latex import FUNCTIONS

logging.disable(logging.CRITICAL)

_NO_LIMIT: Any = None
_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=False, boxed="none", equations=False
)
_LATEX = (LatexExtractionConfig(normalization_config=_NORMALIZATION, boxed_match_priority=-1),)
_REWRITES = [  # what math-verify's grammar would read as something else than is meant
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"([0-9]+(?:\.[0-9]+)?)\s*\^\s*\\circ(?![A-Za-z])", r"{\\frac{\1 \\pi}{180}}"),
        (r"(?<=[0-9]) (?=[0-9]{3}(?![0-9]))", ""),
        (r"\\lg(?![A-Za-z])", r"\\log_{10}"),
        (r"\\sqrt\s*\[\s*([3579])\s*\]\s*\{\s*-\s*((?:[^-+{}]|\{[^-+{}]*\})+)\}", r"(-\\sqrt[\1]{\2})"),
        (rf"(?<![A-Za-z\\])({FUNCTIONS})(?![a-z])", r"\\\1 "),
        (
            r"(?<![0-9.}^_])([0-9]+)\s*\\frac\s*\{([0-9]+)\}\s*\{([0-9]+)\}",
            lambda found: _mixed(found),
        ),
        (r"(?<![_^0-9.])([0-9]+(?:\.[0-9]+)?|\))\s*\(", r"\1 \\cdot ("),
        (r"\)\s*(?=[0-9])", r") \\cdot "),
        (r"(?<![0-9.}^_])([0-9]+)/([0-9]+) +(?=\\[a-z]|[A-Za-z(])", r"\\frac{\1}{\2} "),
    ]
]


def _literal(text: str, *_: Any, **__: Any) -> Any:
    """What a string that reaches `sympify` may be: a number or a name. Stands in for `parse_expr`."""
    text = text.strip()
    if re.fullmatch(r"[0-9]+", text):
        return Integer(int(text))
    if re.fullmatch(r"[0-9]*\.[0-9]+|[0-9]+\.", text):
        return Float(text)
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text):
        return Symbol(text)
    raise SympifyError(text)


sympy_parser.parse_expr = _literal


def symbolic(gold: str, answer: str) -> bool:
    """Whether two expressions are equal; False if one of them cannot be read."""
    wanted, given = _parsed(gold), _parsed(answer)
    if wanted is None or given is None:
        return False
    wanted, given = _imaginary(wanted), _imaginary(given)
    if isinstance(wanted, Eq) and isinstance(given, Eq):
        return _same_equation(wanted, given)
    if isinstance(wanted, Eq) or isinstance(given, Eq):
        return False
    return verify(wanted, given, timeout_seconds=_NO_LIMIT) and _as_close(wanted, given)


def _parsed(latex: str) -> Any:
    """The expression; None if it cannot be read."""
    for pattern, replacement in _REWRITES:
        latex = pattern.sub(replacement, latex)
    found = parse(f"${latex}$", _LATEX, fallback_mode="no_fallback", parsing_timeout=_NO_LIMIT)
    return found[0] if found else None


def _imaginary(expression: Any) -> Any:
    """The expression with the imaginary unit for i."""
    units = {symbol: I for symbol in getattr(expression, "free_symbols", ()) if symbol.name == "i"}
    return expression.subs(units) if units else expression


def _mixed(found: re.Match[str]) -> str:
    r"""`1\frac{1}{2}` is three halves, in front of a variable too; an improper one is a product."""
    whole, top, bottom = found.groups()
    if 0 < int(top) < int(bottom):
        return rf"\frac{{{int(whole) * int(bottom) + int(top)}}}{{{bottom}}}"
    return rf"{whole} \cdot \frac{{{top}}}{{{bottom}}}"


def _same_equation(wanted: Any, given: Any) -> bool:
    """Whether one is the other times a constant: 2y = 4x + 6 is y = 2x + 3."""
    if not simplify(wanted.lhs - wanted.rhs).free_symbols:
        return False
    ratio = simplify((given.lhs - given.rhs) / (wanted.lhs - wanted.rhs))
    return bool(ratio.is_number and ratio.is_finite and ratio.is_nonzero)


def _as_close(wanted: Any, given: Any) -> bool:
    """Whether two constants agree to a millionth; math-verify's six decimals take 1e-7 and 2e-7 for equal."""
    free = getattr(wanted, "free_symbols", True) or getattr(given, "free_symbols", True)
    if free or not (getattr(wanted, "is_number", False) and getattr(given, "is_number", False)):
        return True
    difference, size = abs(N(wanted - given)), abs(N(wanted))
    return bool(difference <= size * Rational(1, 10**6))
