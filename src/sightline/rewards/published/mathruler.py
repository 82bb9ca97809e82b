r"""The rule of mathruler 0.1.0, by which EasyR1's training reward and PAPO-Eval's evaluation judge.

An answer is right if it and the gold have the same plain form (that of the MATH release), the same spoken
form (that of PRM800K), or spoken forms whose elements have SymPy's difference 0. Written from what the
grader does, quirks included: a `\text{ ` ends the answer, `1/2` is not `2/4`, an integer gold wants an
integer, and more than two different letters are never computed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from ..format import close_up

NO_BOX = "None"
"""What stands for the answer of a response without a box; it is graded as any other."""

Difference = Callable[[str, str], bool]
"""Whether the difference of two elements, gold first, is 0; may raise `Undecided`."""

logging.getLogger("pylatexenc").setLevel(logging.CRITICAL)  # it warns of every macro it cannot fill

_BOX = r"\boxed{"
_QUOTED = re.compile(r"^\\text\{(.+?)\}$")
_BRACKETS = "()[]"


def extract(response: str) -> str | None:
    r"""What is in the last `\boxed{`, if its braces close; without white space around `<`, `>`, `/`."""
    return boxed(close_up(response))


def boxed(text: str) -> str | None:
    r"""What is in the last `\boxed{`; None if there is none or it is not closed. `\{` nests too."""
    start = text.rfind(_BOX)
    depth = 0
    for place in range(start + len(_BOX), len(text)) if start >= 0 else ():
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth < 0:
            return text[start + len(_BOX) : place].strip()
    return None


def same(answer: str, gold: str, difference: Difference) -> bool:
    """Whether `answer` is right; raises what `difference` raises."""
    if same_plain_form(answer, gold):
        return True
    ours, theirs = spoken_form(answer), spoken_form(gold)
    if ours == theirs:
        return True
    mine, wanted = _elements(ours), _elements(theirs)
    if not ours or len(mine) != len(wanted):
        return False
    if len(wanted) > 1 and (ours[0], ours[-1]) != (theirs[0], theirs[-1]):
        return False
    return all(_same_element(*pair, difference) for pair in zip(mine, wanted, strict=True))


def _same_element(mine: str, wanted: str, difference: Difference) -> bool:
    if _FRACTION.search(mine) and _FRACTION.search(wanted):
        return mine == wanted
    if _is_whole(mine) != _is_whole(wanted):
        return False
    if _DIGITS.fullmatch(mine) and _DIGITS.fullmatch(wanted):
        return mine == wanted
    return is_computed(f"({wanted})-({mine})") and difference(wanted, mine)


# --- the plain form: LaTeX with its layout taken out ------------------------------------------------

_LAYOUT = [
    *[("\n", ""), (r"\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), (r"\left", "")],
    *[(r"\right", ""), (r"^{\circ}", ""), (r"^\circ", ""), (r"\$", "")],
]
_NUMBERS = [(r"\%", ""), ("%", ""), (" .", " 0."), ("{.", "{0.")]
_QUOTIENT = re.compile(r"(0|-?[1-9][0-9]*)/(0|-?[1-9][0-9]*)")


def same_plain_form(answer: str, gold: str) -> bool:
    """Whether two answers are the same LaTeX, layout aside; linear in their length."""
    return _plain_form(answer) == _plain_form(gold)


def _plain_form(text: str) -> str:
    text = text.strip()
    if quoted := _QUOTED.search(text):
        text = quoted[1].strip()
    try:
        return _plain(text)
    except _UnreadableError:
        return text


class _UnreadableError(Exception):
    """Where mathruler's own reading breaks off; the text then stays as it is."""


def _plain(text: str) -> str:
    for old, new in _LAYOUT:
        text = text.replace(old, new)
    before, *units = text.split(r"\text{ ")
    if len(units) > 1:
        raise _UnreadableError
    text = before
    for old, new in _NUMBERS:
        text = text.replace(old, new)
    text = "0" + text if text.startswith(".") else text
    if text.count("=") == 1 and text.index("=") <= 2:
        text = text.partition("=")[2]
    text = _plain_fractions(_plain_roots(text).replace(" ", ""))
    text = r"\frac{1}{2}" if text == "0.5" else text
    quotient = _QUOTIENT.fullmatch(text)
    return rf"\frac{{{quotient[1]}}}{{{quotient[2]}}}" if quotient else text


def _plain_roots(text: str) -> str:
    r"""`\sqrt3` as `\sqrt{3}`."""
    first, *rest = text.split(r"\sqrt")
    if any(not part for part in rest):
        raise _UnreadableError
    return first + "".join(rf"\sqrt{part if part[0] == '{' else f'{{{part[0]}}}{part[1:]}'}" for part in rest)


def _plain_fractions(text: str) -> str:
    r"""`\frac12`, `\frac1{72}` as `\frac{1}{2}`, `\frac{1}{72}`; all stay if one has a single character."""
    first, *rest = text.split(r"\frac")
    found = [first]
    for part in rest:
        if not part:
            raise _UnreadableError
        if part[0] == "{":
            found.append(part)
        elif len(part) < 2:
            return text
        else:
            below = part[1:] if part[1] == "{" else f"{{{part[1]}}}{part[2:]}"
            found.append(f"{{{part[0]}}}{below}")
    return r"\frac".join(found)


# --- the spoken form: words, units and LaTeX brought to a line that SymPy could read ------------------

_UNITS = (
    *("degree", "cm", "centimeter", "meter", "mile", "second", "minute", "hour", "day", "week", "month"),
    *("year", "foot", "feet", "inch", "yard"),
)
_WORDS = [
    *[(r"\%", "%"), (r"\$", "$"), ("$", ""), ("%", ""), (" or ", " , "), (" and ", " , ")],
    *[("million", "*10^6"), ("billion", "*10^9"), ("trillion", "*10^12")],
]
_UNIT = [re.compile(rf"{unit}(?:es)?s? *(?:\^[0-9]+)?") for unit in _UNITS]
_DEGREES, _THIN_COMMA = re.compile(r"\^ *\\circ"), re.compile(r",\\! *")
_MINUS, _MIXED = re.compile(r"- *"), re.compile(r"([0-9]) +([0-9])")
_THOUSANDS = re.compile(r"(\d),(\d{3})(?!\d)")
_SYMBOLS = [("√", "sqrt"), ("π", "pi"), ("∞", "inf"), ("∪", "U"), ("·", "*"), ("×", "*")]
_FRACTION = re.compile(r"^-?[0-9]+.?/0*[1-9][0-9]*.?$")
_DIGITS = re.compile(r"0|-?[1-9][0-9]*")


def spoken_form(text: str) -> str:
    """An answer without units, words and LaTeX, in small letters; whole numbers as such."""
    if quoted := _QUOTED.search(text):
        text = quoted[1]
    for old, new in _WORDS:
        text = text.replace(old, new)
    for unit in _UNIT:
        text = unit.sub("", text)
    text = _DEGREES.sub("", text)
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    text = _THIN_COMMA.sub("", text)
    number = _float(text)
    if number is not None and _is_near_whole(number):
        text = str(round(number))
    if "\\" in text:
        text = _without_latex(text)
    text = _MIXED.sub(r"\1+\2", _MINUS.sub("-", text))
    text = re.sub(r"[ {}]", "", text).lower()
    return str(int(float(text.replace(",", "")))) if _is_whole(text) else text


def _without_latex(text: str) -> str:
    """LaTeX as a line of text; unchanged if pylatexenc cannot read it."""
    from pylatexenc.latex2text import LatexNodes2Text  # a tenth of a second, and only LaTeX needs it

    tidy = text.replace(r"\tfrac", r"\frac").replace(r"\dfrac", r"\frac").replace(r"\frac", r" \frac")
    try:
        read = str(LatexNodes2Text().latex_to_text(tidy))
    except Exception:  # it raises anything on broken LaTeX, RecursionError too
        return text
    for symbol, word in _SYMBOLS:
        read = read.replace(symbol, word)
    return read.strip()


def _elements(text: str) -> list[str]:
    """The members of a tuple or interval, or the whole; commas of thousands separate nothing."""
    text = _without_thousands(text)
    inner = text[1:-1]
    if len(text) > 2 and text[0] in _BRACKETS and text[-1] in _BRACKETS and not set(inner) & set(_BRACKETS):
        return [part.strip() for part in inner.split(",")]
    return [text] if text else []


def _without_thousands(text: str) -> str:
    """`1,234,567` as `1234567`; a comma that is no separator of thousands stays."""
    while (shorter := _THOUSANDS.sub(r"\1\2", text)) != text:
        text = shorter
    return text


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_near_whole(number: float) -> bool:
    return abs(number) != float("inf") and number == number and abs(number - round(number)) <= 1e-7


def _is_whole(text: str) -> bool:
    number = _float(_without_thousands(text))
    return number is not None and _is_near_whole(number)


_NEVER_COMPUTED = re.compile(r"\^[{(]|\^[0-9]+\^|\^[0-9]{2}")


def is_computed(text: str) -> bool:
    """Whether an expression is one that SymPy is asked about: two letters at most, no long exponent."""
    letters = {letter for letter in text.replace("sqrt", "").replace("frac", "") if letter.isalpha()}
    return len(letters) <= 2 and not _NEVER_COMPUTED.search(text)
