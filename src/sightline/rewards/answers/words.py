r"""What an answer is made of: words, variables, names in front of an equals sign.

These tests keep words away from the symbolic engine, which reads `\text{dog}` as d·o·g and so finds it
equal to "god", and they settle quickly what differs in its variables.
"""

from __future__ import annotations

import re

from .latex import FUNCTIONS, compact, flat, split

_FUNCTION = re.compile(rf"(?<![A-Za-z])\\?(?:{FUNCTIONS}|lim|max|min|gcd|lcm|mod|det)(?![A-Za-z])")
_LETTER = r"\\(?:alpha|beta|gamma|delta|theta|lambda|mu|omega|phi|rho|sigma|tau|Omega|Delta)(?![A-Za-z])"
_GREEK = re.compile(_LETTER)
_LAYOUT = re.compile(r"\\(?:begin|end)\s*\{[a-z]*\*?\}|\\[A-Za-z]+")
_QUOTED = re.compile(r"\\text\s*\{([^{}]*)\}")
_PROSE = re.compile(r"(?<![A-Za-z])(?:[A-Za-z]?[a-z]{3,}|[A-Za-z]{2,}\s+[A-Za-z]{2,})(?![A-Za-z])")
_PRODUCT = re.compile(r"[abcxyz]{2,3}")
_UNSPOKEN = re.compile(r"['\"?]|\\ldots|\\[hv]?phantom|\\(?:text|mathbb|mathcal)\s*\{[^{}]*$|[^\x00-\x7f]")

_UNCLEAR = re.compile(
    r"(?<![_0-9.])[0-9.]+\s+[0-9]|[0-9]\s*_|[0-9]\.[0-9]+\.[0-9]|\^\s*\{[^{}]*\}\s*\^"
    r"|/\s*[0-9]+(?:[A-Za-z(]|\\(?!cdot|times|div|le|ge|cup|cap|in(?![a-z]))[A-Za-z])"
)
"""Numbers side by side, number bases, two exponents, 1/2x: what reads two ways is not compared."""
_COMPARED = re.compile(r"<|>|\\le(?![A-Za-z])|\\ge(?![A-Za-z])")
_RISING = ("<", r"\le")
_INFINITY = r"\infty"

OR = re.compile(
    r"\s*,?\s*(?:\\text\s*\{\s*,?\s*or\s*\}|(?<![A-Za-z\\])or(?![A-Za-z])|\\(?:lor|vee)(?![a-z]))\s*"
)
AND = re.compile(r"(?<![A-Za-z\\])and(?![A-Za-z])|\\(?:land|wedge)(?![a-z])")

_WORD = rf"(?:[A-Za-z]+|\|[A-Z]{{2}}\||\\text\s*\{{[^{{}}]*\}}|{_LETTER})"
_MARKED = (
    r"m?\s*\\(?:angle|triangle|overline|widehat|overrightarrow|vec|hat|bar|sin|cos|tan|cot|log|ln)(?![A-Za-z])"
    r"\s*(?:\{[A-Za-z ]*\}|\\angle\s*(?:[A-Z]+|[0-9])|"
    + _WORD
    + r"|(?<=angle )[0-9]{1,2}|(?<=angle)[0-9]{1,2})"
)
_NAME = rf"(?:{_MARKED}|{_WORD})(?:_(?:\{{[^{{}}]*\}}|[A-Za-z0-9]))?'*(?:\s?\([A-Za-z0-9, ]*\))?"
DENIAL = re.compile(r"(?<![A-Za-z])(?i:not?|never|neither|nor|isn|without|wrong|incorrect|false)(?![A-Za-z])")
_FIGURE = re.compile(
    r"\\(angle|measuredangle|triangle|widehat|overline|overleftrightarrow|overrightarrow|vec)"
    r"\s*\{\s*([A-Z](?:\s*[A-Z])+)\s*\}"
    r"|\\(angle|measuredangle|triangle)\s*([A-Z](?:\s*[A-Z])+)"
)
_REVERSIBLE = frozenset(["angle", "measuredangle", "widehat", "overline", "overleftrightarrow"])
_SPARE = "pqrstuvwabcjk"
_RATIO_OF_NAMES = re.compile(
    rf"{_NAME}(?:\s*:\s*{_NAME}){{1,4}}|{_NAME}\s*/\s*{_NAME}"
    rf"|\\frac\s*\{{\s*(?:{_NAME})\s*\}}\s*\{{\s*(?:{_NAME})\s*\}}"
)
_ONE_NAME = re.compile(rf"{_NAME}(?: {_NAME}){{0,5}}")
_SUM_OF_NAMES = re.compile(rf"{_NAME}(?:\s*(?:[-+*/:]|\\cdot|\\times)?\s*{_NAME}){{0,5}}")


def is_name(text: str) -> bool:
    r"""Whether `text` can label a value: `x`, `f(x)`, `\angle ABC`, `\text{Area}`, `The area`."""
    return len(text) <= 80 and _ONE_NAME.fullmatch(text) is not None and not DENIAL.search(text)


def is_sum_of_names(text: str) -> bool:
    """Whether `text` is made of names alone (`a + b`, `AB \\cdot BC`), without any number of its own."""
    return len(text) <= 80 and _SUM_OF_NAMES.fullmatch(text) is not None and not DENIAL.search(text)


def is_ratio_of_names(text: str) -> bool:
    r"""Whether `text` is a ratio or quotient of names alone: `AB:CD`, `S_1/S_2`, `\frac{AB}{CD}`."""
    return len(text) <= 120 and _RATIO_OF_NAMES.fullmatch(text) is not None and not DENIAL.search(text)


def turned(text: str) -> str:
    r"""A ratio or quotient of names the other way round: `AB:CD` as `CD:AB`."""
    ratio = [part.strip() for part in split(text, {":"})]
    if len(ratio) > 1:
        return ":".join(reversed(ratio))
    quotient = [part.strip() for part in split(text, {"/"})]
    if len(quotient) == 2:
        return "/".join(reversed(quotient))
    return re.sub(r"^\\frac\s*\{(.*)\}\s*\{(.*)\}$", r"\\frac{\2}{\1}", text)


def variables(text: str) -> frozenset[str]:
    """The variables of an expression; e and i, functions and words in `\\text` are none. Case counts."""
    text = _QUOTED.sub(lambda quoted: quoted[1] if len(quoted[1]) == 1 else " ", text)
    greek = _GREEK.findall(text)
    text = _LAYOUT.sub(" ", _FUNCTION.sub(" ", text))
    return frozenset(re.findall(r"[A-Za-z]", text)).union(greek) - {"e", "i"}


def is_worded(text: str) -> bool:
    r"""Whether `text` holds words: a `\text{…}` of several letters, or letters that spell one."""
    if any(len(re.findall(r"[^\W\d_]", quoted)) > 1 for quoted in _QUOTED.findall(text)):
        return True
    bare = _LAYOUT.sub(" ", _FUNCTION.sub(" ", _QUOTED.sub(" ", text)))
    return bool(_PROSE.search(bare)) or bool(re.search(r"[^\W\d_a-zA-Z]", bare)) or _is_letters(text)


def is_functional(text: str) -> bool:
    r"""Whether `text` names a function (`\sin`, `log`, `max`)."""
    return _FUNCTION.search(text) is not None


def is_expression(text: str) -> bool:
    """Whether `text` may be put to the symbolic engine: no words, nothing it would drop, one reading."""
    return not is_worded(text) and not _UNSPOKEN.search(text) and not _UNCLEAR.search(text)


def figures_named(answer: str, gold: str) -> tuple[str, str] | None:
    r"""Both texts with one variable for each `\angle ABC`, which would else be read as A·B·C.

    An angle, arc, line or segment may be read backwards, a triangle from any corner unless it is related
    to another; a ray or vector only as it stands. None if there are more figures than spare variables.
    """
    free = [name for name in _SPARE if name not in variables(answer) | variables(gold)]
    names: dict[tuple[str, str], str] = {}

    def named(figure: re.Match[str], related: bool) -> str:
        kind, points = figure[1] or figure[3], re.sub(r"\s", "", figure[2] or figure[4])
        if kind == "triangle" and not related:
            points = "".join(sorted(points))
        elif kind in _REVERSIBLE:
            points = min(points, points[::-1])
        kind = "angle" if kind == "measuredangle" else kind
        return f" {names.setdefault((kind, points), free[len(names)])} "

    try:
        ours, theirs = [
            _FIGURE.sub(lambda figure, text=text: named(figure, len(_FIGURE.findall(text)) > 1), text)
            for text in (answer, gold)
        ]
    except IndexError:
        return None
    return ours.strip(), theirs.strip()


def as_interval(text: str) -> str | None:
    r"""`a < x \le b` and `x > a` as `(a, b]` and `(a, \infty)`; None for any other relation."""
    sides = _COMPARED.split(text)
    signs = _COMPARED.findall(text)
    place = next((i for i, side in enumerate(sides) if re.fullmatch(r"\s*[A-Za-z]\s*", side)), None)
    if place is None or not 2 <= len(sides) <= 3 or len({sign in _RISING for sign in signs}) != 1:
        return None
    if signs[0] not in _RISING:
        sides, signs, place = sides[::-1], signs[::-1], len(sides) - 1 - place
    if len(sides) == 3 and place != 1:
        return None
    low = sides[0].strip() if place == 1 else ""
    high = sides[-1].strip() if place < len(sides) - 1 else ""
    left = "[" if low and "e" in signs[0] else "("
    right = "]" if high and "e" in signs[-1] else ")"
    return f"{left}{low or '-' + _INFINITY}, {high or _INFINITY}{right}"


def as_union(text: str) -> str | None:
    r"""`x < 1 or x > 2` as `(-\infty, 1) \cup (2, \infty)`; None for anything else."""
    parts = OR.split(text)
    intervals = [as_interval(part) for part in parts]
    if len(parts) < 2 or not all(intervals) or len({variables(part) for part in parts}) != 1:
        return None
    return r" \cup ".join(interval for interval in intervals if interval)


def same_words(answer: str, gold: str) -> bool:
    """Whether two texts are the same words; case, a leading article and end marks do not count."""
    if _is_letters(answer) and _PRODUCT.fullmatch(gold) and sorted(answer) == sorted(gold):
        return True
    return _words(answer) == _words(gold) != ""


def _is_letters(text: str) -> bool:
    return len(text) > 1 and text.isalpha()


def _words(text: str) -> str:
    text = compact(flat(text)).casefold().strip(" .,;:!\"'`")
    return re.sub(r"^(?:an?|the) (?=\S)", "", re.sub(r"\s+", " ", text))
