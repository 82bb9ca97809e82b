"""Expressions in SymPy's own notation (`2x+1`), read without evaluating Python; for workers only.

SymPy's `parse_expr` turns such text into Python and evaluates it. Here SymPy writes the Python, and only
numbers, symbols, arithmetic and a few functions of it are carried out; anything else cannot be read.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import sympy
from sympy.parsing import sympy_parser

_OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_SIGNS: dict[type, Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_NAMES = (
    *("Symbol", "Function", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "factorial", "factorial2"),
    *("sqrt", "frac", "pi", "oo", "zoo", "nan", "re", "im", "ln", "csc", "li", "ff", "rf"),
)
_KNOWN = {name: getattr(sympy, name) for name in _NAMES}
_TAKEN = {name: getattr(sympy, name) for name in sympy.__all__ if hasattr(sympy, name)}
"""What SymPy's reader takes for its own names rather than for symbols; those not in `_KNOWN` are refused."""
_IMPLICIT = (*sympy_parser.standard_transformations, sympy_parser.implicit_multiplication_application)


class UnreadableError(ValueError):
    """Text that is no such expression."""


def read(text: str, *, implicit: bool = True, evaluate: bool = True) -> Any:
    """The expression of `text`; `implicit` lets `2x` be a product, `evaluate` simplifies as SymPy does.

    Raises:
        UnreadableError: the text says something else than an expression. Tokenizers raise their own errors.
    """
    transformations = _IMPLICIT if implicit else sympy_parser.standard_transformations
    code = sympy_parser.stringify_expr(text, {}, _TAKEN, transformations)
    tree = ast.parse(code.strip(), mode="eval") if evaluate else sympy_parser.evaluateFalse(code)
    return _value(tree)


def _value(node: Any) -> Any:
    if isinstance(node, ast.Expression):
        return _value(node.body)
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bool | int | float):
        return node.value
    if isinstance(node, ast.Name) and node.id in _KNOWN:
        return _KNOWN[node.id]
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
        return _SIGNS[type(node.op)](_value(node.operand))
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Call):
        named = {keyword.arg: _value(keyword.value) for keyword in node.keywords if keyword.arg == "evaluate"}
        if len(named) == len(node.keywords):
            return _value(node.func)(*map(_value, node.args), **named)
    raise UnreadableError(f"not an expression: {ast.unparse(node)[:80]}")
