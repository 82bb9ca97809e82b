"""What the published graders compute, as they do; imported by worker processes only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import math_verify.parser
import sympy
from math_verify import parse, verify

from . import arithmetic
from .mathruler import same

_NO_LIMIT: Any = None


def _read_literally(text: str, evaluate: bool = True, **_: Any) -> Any:
    """Stands in for the `parse_expr` by which math-verify reads plain text and which evaluates Python."""
    return arithmetic.read(text, implicit=False, evaluate=evaluate)


def _number(text: str) -> Any:
    """Stands in for SymPy's `Number`, which evaluates a number with a sign as Python."""
    return -sympy.Number(text[1:]) if text.startswith("-") else sympy.Number(text.removeprefix("+"))


math_verify.parser.parse_expr = _read_literally
math_verify.parser.Number = _number


def lookback(gold: str, answer: str) -> bool:
    """mathruler's verdict, or else math-verify's on the bare text, answer first."""
    return same(answer, gold, is_difference_zero) or agrees(gold, answer)


def is_difference_zero(gold: str, answer: str) -> bool:
    """Whether SymPy simplifies the difference of two elements to 0; False for what it cannot read."""
    try:
        return bool(sympy.simplify(arithmetic.read(f"({gold})-({answer})".replace("^", "**"))) == 0)
    except Exception:  # parsers and SymPy raise anything; mathruler takes it for a difference
        return False


def agrees(gold: str, answer: str) -> bool:
    """Whether math-verify finds the two equal, both as they stand, with its own settings."""
    given, wanted = parse(answer, parsing_timeout=_NO_LIMIT), parse(gold, parsing_timeout=_NO_LIMIT)
    return bool(verify(given, wanted, timeout_seconds=_NO_LIMIT))


ENGINES: dict[str, Callable[[str, str], bool]] = {
    "mathruler": is_difference_zero,
    "papo": is_difference_zero,
    "lookback": lookback,
}
"""What answers a protocol's questions, gold first; all others ask our own engine."""
