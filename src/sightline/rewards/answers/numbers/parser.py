r"""A recursive descent over LaTeX arithmetic, which stops in front of the first thing that is no part of it.

It evaluates nothing but what `exact` allows, and looks at every symbol a bounded number of times.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ..latex import compact
from .exact_numbers import (
    ONE,
    PI,
    NotANumber,
    Terms,
    TooLarge,
    added,
    clean,
    factorial,
    inverse,
    multiplied,
    raised,
    root,
    scaled,
)

_MAX_DEPTH = 20
_ROUNDED_DIGITS = 10
"""A decimal with this many digits is taken for a rounded value (a float's print), not an exact one."""

_LITERAL = re.compile(
    r"(?P<digits>[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+|(?: [0-9]{3})+)(?![0-9])(?:\.[0-9]+)?"
    r"|[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE](?P<exponent>[+-]?[0-9]{1,9})(?![0-9.]))?"
)
_REPEATED = re.compile(r"\s*\\(?:overline|bar|dot)\s*\{([0-9]{1,20})\}")
_TOKEN = re.compile(r"\s*(\\[A-Za-z]+|[-+*/^!(){}\[\]])")
_INTEGERS = re.compile(r"\s*\{\s*([0-9]{1,9})\s*\}\s*\{\s*([0-9]{1,9})\s*\}|\s*([0-9])\s*([0-9])")
_INTEGER = re.compile(r"\s*[0-9]+\s*")
_DIGIT = re.compile(r"\s*([0-9])")
_DEGREE = re.compile(r"\s*\^\s*\\circ(?![A-Za-z])")
_VARIABLE = re.compile(
    r"\s*((?:(?![eifghFGPE]\s*\()(?![ei])[A-Za-z]|\\(?:alpha|beta|gamma|theta|lambda|mu|omega|phi)(?![A-Za-z]))"
    r"(?:_(?:\{[A-Za-z0-9]+\}|[A-Za-z0-9]))?)(?!')"
)
_TIMES = {"*", r"\times", r"\cdot"}
_OVER = {"/", r"\div"}
_CLOSING = {"(": ")", "{": "}", "[": "]"}


class NumberParser:
    """A recursive descent over one text; it stops in front of the first thing that is no number."""

    def __init__(self, text: str, variables: bool) -> None:
        self.text = text
        self.variables = variables
        self.position = 0
        self.decimal = False
        self.rounded = False

    def sum(self, depth: int) -> Terms:
        """`[±] product (± product)*`."""
        if depth > _MAX_DEPTH:
            raise NotANumber("nested too deeply")
        sign = self._sign()
        total = scaled(self.product(depth), sign)
        while self._peek() in ("+", "-"):
            before = self.position
            sign = self._sign()
            try:
                total = added(total, scaled(self.product(depth), sign))
            except NotANumber:
                if depth:
                    raise
                self.position = before
                break
        return total

    def product(self, depth: int) -> Terms:
        """`power ((·|/) power | power)*`; after a slash nothing may follow unsigned (1/2π is unclear)."""
        start, alone, divided = self.position, True, False
        value = self.power(depth)
        while True:
            mark = self._peek()
            if mark in _TIMES or mark in _OVER:
                self._next()
                sign = self._sign()
                factor = scaled(self.power(depth), sign)
                value = multiplied(value, factor if mark in _TIMES else inverse(factor))
                divided, alone = divided or mark == "/", False
            elif mark in (r"\frac", r"\sqrt", r"\pi", "(") or self._variable():
                if divided or (mark == r"\frac" and not alone):
                    raise NotANumber("a product that reads two ways")
                before = self.position
                mixed = mark == r"\frac" and _INTEGER.fullmatch(self.text[start:before])
                try:
                    value = self._mixed(value, depth) if mixed else multiplied(value, self.power(depth))
                except NotANumber as error:
                    if depth or isinstance(error, TooLarge):
                        raise
                    self.position = before  # a unit may follow: \frac{m}{s}
                    return value
                alone = False
            elif self._literal_follows():
                raise NotANumber("two numbers side by side")
            else:
                return value

    def power(self, depth: int) -> Terms:
        """`atom !? (^ exponent)?`, or an atom in front of a degree sign."""
        value = self.atom(depth)
        if self._peek() == "!":
            self._next()
            value = factorial(value)
        if self._peek() != "^" or _DEGREE.match(self.text, self.position):
            return value
        self._next()
        return raised(value, self.argument(depth))

    def atom(self, depth: int) -> Terms:
        """A literal, π, a group, a fraction or a root."""
        if self._literal_follows():
            return self._literal()
        mark = self._peek()
        if mark == r"\pi":
            self._next()
            return {(1, ((PI, 1),)): Fraction(1)}
        if variable := self._variable():
            self.position = variable.end()
            return {(1, ((compact(variable[1]), 1),)): Fraction(1)}
        if mark in ("(", "{"):
            return self.group(mark, depth)
        if mark == r"\frac":
            self._next()
            top = self.argument(depth)
            return multiplied(top, inverse(self.argument(depth)))
        if mark == r"\sqrt":
            self._next()
            order: Terms = self.group("[", depth) if self._peek() == "[" else {ONE: Fraction(2)}
            return root(self.argument(depth), order)
        raise NotANumber(f"no number at {self.position}")

    def argument(self, depth: int) -> Terms:
        r"""What `\frac`, `\sqrt` or `^` applies to: a group, a single digit, or π."""
        if self._peek() == "{":
            return self.group("{", depth)
        digit = _DIGIT.match(self.text, self.position)
        if digit:
            self.position = digit.end()
            return clean({ONE: Fraction(int(digit[1]))})
        if self._peek() == r"\pi":
            return self.atom(depth)
        raise NotANumber("no argument")

    def group(self, opening: str, depth: int) -> Terms:
        """A sum between brackets."""
        self._next()
        value = self.sum(depth + 1)
        if self._peek() != _CLOSING[opening]:
            raise NotANumber("no closing bracket")
        self._next()
        return value

    def _mixed(self, whole: Terms, depth: int) -> Terms:
        r"""`3\frac{1}{2}` is three and a half; `2\frac{3}{2}` could be either and is left alone."""
        self._next()
        parts = _INTEGERS.match(self.text, self.position)
        if parts is None:
            top = self.argument(depth)
            return multiplied(whole, multiplied(top, inverse(self.argument(depth))))
        top, bottom = (int(part) for part in parts.groups() if part is not None)
        if not 0 < top < bottom:
            raise NotANumber("an unclear mixed number")
        self.position = parts.end()
        return added(whole, {ONE: Fraction(top, bottom)})

    def _literal(self) -> Terms:
        literal = _LITERAL.match(self.text, self._skip())
        if literal is None:
            raise NotANumber("no literal")
        if len(literal["digits"]) > 1000:
            raise TooLarge("a very long literal")
        self.position = literal.end()
        digits = re.sub("[, ]", "", literal["digits"])
        exponent = int(literal["exponent"] or 0)
        if abs(exponent) > 1000:
            raise TooLarge("a very large exponent")
        significant = digits.replace(".", "").strip("0")
        self.decimal = self.decimal or "." in digits or exponent < 0
        self.rounded = self.rounded or ("." in digits and len(significant) >= _ROUNDED_DIGITS)
        whole, _, places = digits.partition(".")
        value = Fraction(int((whole + places) or "0"), 10 ** len(places))
        repeated = _REPEATED.match(self.text, self.position)
        if repeated and "." in digits and not literal["exponent"]:
            self.position = repeated.end()
            value += Fraction(int(repeated[1]), 10 ** len(places) * (10 ** len(repeated[1]) - 1))
        return clean({ONE: value * Fraction(10) ** exponent})

    def _variable(self) -> re.Match[str] | None:
        """The variable that follows; e, i and what looks like a function are none."""
        return _VARIABLE.match(self.text, self.position) if self.variables else None

    def _literal_follows(self) -> bool:
        return _LITERAL.match(self.text, self._skip()) is not None

    def _skip(self) -> int:
        """The position of the next character that is no space."""
        position = self.position
        while self.text.startswith(" ", position):
            position += 1
        return position

    def _sign(self) -> int:
        sign = 1
        if self._peek() in ("+", "-"):
            sign = -1 if self._next() == "-" else 1
        return sign

    def _peek(self) -> str:
        mark = _TOKEN.match(self.text, self.position)
        return mark[1] if mark else ""

    def _next(self) -> str:
        mark = _TOKEN.match(self.text, self.position)
        if mark is None:
            raise NotANumber("the text ends too early")
        self.position = mark.end()
        return mark[1]
