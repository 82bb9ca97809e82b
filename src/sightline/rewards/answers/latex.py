r"""One spelling for what people and models write in many: Unicode, LaTeX spacing, fonts, delimiters.

`canonical` changes how an answer is written, never what it says. What comes out is short LaTeX in
which the grader's other parts look for few forms: `\frac`, `\text`, `\{`, `\le`, `^\circ`, `\%`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from unicodedata import normalize

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_STYLED = {code: normalize("NFKC", chr(code)) for code in range(0x1D400, 0x1D800)}
"""Mathematical letters and digits in bold, italics and so on."""
_SQUARED = {code: normalize("NFKC", chr(code)) for code in range(0x3380, 0x33E0)}
"""Units as one character: ㎝, ㎡."""
_SPACES = dict.fromkeys([0xA0, 0x3000, 0x202F, 0x205F, *range(0x2000, 0x200B)], " ")
_INVISIBLE = [0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
_CONTROL = dict.fromkeys([*range(9), *range(11, 13), *range(14, 32), *range(127, 160)], " ")
_SIGNS = {
    "−": "-", "‐": "-", "‑": "-", "×": r"\times ", "✕": r"\times ", "÷": r"\div ",
    "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*", "∕": "/", "⁄": "/", "°": r"^\circ ",
    "º": r"^\circ ", "˚": r"^\circ ", "℃": r"^\circ C", "℉": r"^\circ F", "π": r"\pi ", "∞": r"\infty ",
    "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "ℯ": "e", "∣": r"\mid ", "\uff5e": "–", "〜": "–",
    "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ",
    "∠": r"\angle ", "△": r"\triangle ", "⟨": r"\langle ", "⟩": r"\rangle ", "…": r"\ldots ",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "θ": r"\theta ", "λ": r"\lambda ", "μ": r"\mu ",
    "µ": r"\mu ", "ω": r"\omega ", "φ": r"\phi ", "\u03a9": r"\Omega ", "\u2126": r"\Omega ", "Δ": r"\Delta ",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}", "⅖": r"\frac{2}{5}", "⅗": r"\frac{3}{5}",
    "⅘": r"\frac{4}{5}", "⅙": r"\frac{1}{6}", "⅚": r"\frac{5}{6}", "⅛": r"\frac{1}{8}",
    "⅜": r"\frac{3}{8}", "⅝": r"\frac{5}{8}", "⅞": r"\frac{7}{8}",
    "′": "'", "″": "''", "’": "'", "‘": "'", "“": '"', "”": '"', "。": ".", "、": ",", "∶": ":",
}  # fmt: skip
_CHARACTERS = {
    **_FULL_WIDTH, **_STYLED, **_SQUARED, **_SPACES, **_CONTROL, **dict.fromkeys(_INVISIBLE),
    **{ord(sign): latex for sign, latex in _SIGNS.items()},
}  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "0123456789+-n")


def _macro(names: str) -> str:
    """A pattern for a LaTeX macro by any of its names, and not for one whose name only begins so."""
    return rf"\\(?:{names})(?![A-Za-z])"


def _power(found: re.Match[str]) -> str:
    return "^{" + (found[1] or found[2]).replace(" ", "") + "}"


def _radicand(found: re.Match[str]) -> str:
    """The next symbol alone is under a root without braces."""
    return f"{found[1]}{{{found[2][0]}}}{found[2][1:]}"


def _upright(found: re.Match[str]) -> str:
    return f"{found[1]} " if found[1] else found[2]


def _quotient(found: re.Match[str]) -> str:
    top, bottom = (part for part in found.groups() if part)
    return rf"\frac{{{top}}}{{{bottom}}}"


FUNCTIONS = "arcsin|arccos|arctan|arccot|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|lg|exp"

_FONTS = (
    r"\\(?:text(?:normal|bf|it|rm|sf|tt|up|md|sl|sc)?|math(?:rm|bf|it|sf|tt|normal)|mbox|hbox|boldsymbol|bm"
    r"|emph|textcolor\{[a-z]*\})\s*(?=\{)"
)
_ORDINAL = r"([0-9])\s*\^\s*(?:\{(st|nd|rd|th)\}|\\text\{(st|nd|rd|th)\}|\{\\text\{(st|nd|rd|th)\}\})"
_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+", lambda run: "^{" + run.group().translate(_RAISED) + "}"),
        (r"[₀₁₂₃₄₅₆₇₈₉₊₋ₙ]+", lambda run: "_{" + run.group().translate(_LOWERED) + "}"),
        (r"([0-9])\s*(?:[–—]|\bto\b|\\text\s*\{\s*to\s*\})\s*(?=[0-9])", r"\1\\to "),
        (r"([0-9%])~(?=[0-9])(?![0-9]{3}(?![0-9]))", r"\1\\to "),
        (r"[–—]", "-"),
        (r"(?<![A-Za-z\\])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"(?<![A-Za-z\\])sqrt\s*([0-9]+)", r"\\sqrt{\1}"),
        (r"(?<![A-Za-z\\])pi(?![A-Za-z])", r"\\pi "),
        (r"∛", r"\\sqrt[3]√"),
        (r"∜", r"\\sqrt[4]√"),
        (r"(?<![A-Za-z\\])cbrt\s*(?=\()", r"\\sqrt[3]"),
        (r"(\\sqrt\[[34]\])√\s*(-?[0-9]+(?:\.[0-9]+)?|[A-Za-z])", r"\1{\2}"),
        (r"(\\sqrt\[[34]\])√\s*", r"\1"),
        (r"√\s*([0-9]+(?:\.[0-9]+)?|[A-Za-z])", r"\\sqrt{\1}"),
        (r"√\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"√\s*(?=\{)", r"\\sqrt"),
        (r"\\root\s*\{?\s*([0-9]+)\s*\}?\s*\\of(?![A-Za-z])", r"\\sqrt[\1]"),
        (r"\\sqrt\s*(\[[^\[\]]*\])\s*\(([^()]*)\)", r"\\sqrt\1{\2}"),
        (r"(\\sqrt\s*\[[^\[\]]*\])\s*([0-9]+(?:\.[0-9]+)?|[A-Za-z])", _radicand),
        (r"(?<!\\)\\[()\[\]]", ""),
        (r"(?<!\\)(?:\\[,;:> ]|~)|" + _macro("q?quad|(?:thin|med|thick|en)space"), " "),
        (r"(?<=[0-9]),\s*\\!\s*(?=[0-9]{3}(?![0-9]))", ","),
        (r"\\!|\{\}", ""),
        (r"\{,\}", ","),
        (r"\\(?:left|right)\s*\.(?![0-9])", ""),
        (_macro("left|right|[bB]igg?[lrm]?|(?:display|text|script)style|(?:no)?limits"), ""),
        (_macro("[dtc]frac"), r"\\frac"),
        (r"\\frac\s*([0-9])\s*([A-Za-z])|\\frac\s+([A-Za-z])\s*([A-Za-z0-9])", _quotient),
        (_FONTS, r"\\text"),
        (r"\{\\(?:rm|bf|it|sf|tt)(?![A-Za-z])\s*([^{}]*)\}", r"\\text{\1}"),
        (_macro("rm|bf|it|sf|tt|large|Large|huge|Huge|small|normalsize") + r"|\\color\s*\{[a-z]*\}", ""),
        (
            r"\\begin\s*\{cases\}([^&]*?)(?:\\\\\s*)?\\end\s*\{cases\}",
            lambda rows: rows[1].replace(r"\\", ", "),
        ),
        (_macro("lbrace"), r"\\{"),
        (_macro("rbrace"), r"\\}"),
        (_macro("leqslant|leqq|leq") + "|<=", r"\\le "),
        (_macro("geqslant|geqq|geq") + "|>=", r"\\ge "),
        (_macro("neq") + r"|\\not\s*=|(?<=[A-Za-z])\s*!=(?!=)|(?<=[)\s])!=(?!=)", r"\\ne "),
        (
            r"\\text\s*\{\s*([ei]|\\pi)\s*\}|\\text\s*\{\s*(d)\s*\}(?=[a-z])",
            lambda one: f"{one[1]} " if one[1] else one[2],
        ),
        (rf"\\(?:operatorname\*?|text)\s*\{{\s*({FUNCTIONS})\s*\}}(?=\s*[A-Za-z0-9\\({{^_])", r"\\\1 "),
        (r"\\operatorname\*?\s*(?=\{)", r"\\text"),
        (_macro("lt"), "<"),
        (_macro("gt"), ">"),
        (_macro("thickapprox|simeq|doteq"), r"\\approx "),
        (":=|==", "="),
        (_macro("varnothing") + r"|\\\{\s*\\\}", r"\\emptyset "),
        (_macro("[lc]?dots|dotsc") + r"|\.\.\.", r"\\ldots "),
        (r"(?<=[0-9])\s*\^\s*(?:o(?![A-Za-z])|\{\s*o\s*\})", r"^\\circ "),
        (_macro("(?:text)?degree") + r"|\^\s*\{\s*\\circ\s*\}|\^\s*" + _macro("circ"), r"^\\circ "),
        (r"(?<!\\)%|\\text\s*\{\s*\\%\s*\}", r"\\%"),
        (r"([0-9.])\s*[xX]\s*(?=10\s*\^)", r"\1\\times "),
        (_ORDINAL, r"\1 \2\3\4"),
        (r"\*\*\s*(-?[0-9]+)|\^\s*(-\s*(?:[0-9]+|[A-Za-z])|[0-9]{2,})", _power),
        (r"(^|[(\[,=])\s*\+\s*(?=\\infty)", r"\1"),
        (r"\s+", " "),
    ]
]
_WRAPPERS = ("\\text{", "\\boxed{", "\\fbox{", "\\underline{", "{")
_QUOTES = (("**", "**"), ("*", "*"), ("`", "`"), ('"', '"'), ("'", "'"), ("``", "''"))


@lru_cache(maxsize=2048)
def canonical(text: str) -> str:
    """`text` in one spelling, without wrappers around the whole and without a full stop at its end."""
    text = unwrapped(_dollars(text.translate(_CHARACTERS)))
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return unwrapped(text)


def unwrapped(text: str) -> str:
    r"""`text` without the `\text{…}`, `{…}`, `\boxed{…}`, quotes or bold marks around the whole of it."""
    while True:
        before = text
        text = re.sub(r"(?<!\\)[,;]+$|(?<!\\)(?:\\\\)?\\$|\\\\$", "", text.strip())
        if text.endswith(".") and not text.endswith((r"\.", "..")):
            text = text[:-1].rstrip()
        for wrapper in _WRAPPERS:
            if text.startswith(wrapper) and closing(text, len(wrapper) - 1) == len(text) - 1:
                text = text[len(wrapper) : -1]
        for left, right in _QUOTES:
            inner = text[len(left) : -len(right)]
            if inner and text.startswith(left) and text.endswith(right) and left not in inner:
                text = inner
        if text == before:
            return text


def closing(text: str, start: int) -> int:
    """Where the bracket at `start` closes, by one of any kind (half-open intervals); -1 if nowhere."""
    depth = 0
    for position, _, after in symbols(text, start):
        depth = after
        if depth == 0:
            return position
    return -1


def symbols(text: str, start: int = 0) -> list[tuple[int, str, int]]:
    r"""The symbols of `text` from `start`: (position of the last character, symbol, depth after it).

    An escape (`\{`, `\,`) and a macro (`\frac`) are one symbol; `\{` and `\}` nest as braces do.
    A closing symbol without its opening leaves the depth below zero.
    """
    found, depth = [], 0
    for symbol in _SYMBOL.finditer(text, start):
        name = symbol.group()
        if name in _OPENING:
            depth += 1
        elif name in _CLOSING:
            depth -= 1
        found.append((symbol.end() - 1, name, depth))
    return found


_SYMBOL = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)
_OPENING = frozenset(["{", "(", "[", r"\{", r"\langle"])
_CLOSING = frozenset(["}", ")", "]", r"\}", r"\rangle"])


def split(text: str, separators: frozenset[str] | set[str]) -> list[str]:
    """`text` cut at every separator that stands outside all brackets; separators are single symbols."""
    parts, begin = [], 0
    for position, name, depth in symbols(text):
        if depth == 0 and name in separators:
            parts.append(text[begin : position + 1 - len(name)].strip())
            begin = position + 1
    return [*parts, text[begin:].strip()]


def depth(text: str) -> int:
    """The deepest nesting of brackets."""
    return max((after for _, _, after in symbols(text)), default=0)


def flat(text: str) -> str:
    r"""`text` with every `\text{…}` and `{…}` opened: what a reader would see of words and letters."""
    return re.sub(r"\s+", " ", re.sub(r"\\text(?=\s*\{)|(?<!\\)[{}]", " ", text)).strip()


def compact(text: str) -> str:
    """`text` without the white space that LaTeX ignores, for comparing two spellings letter by letter."""
    text = re.sub(r"\\text\s*\{([A-Za-z])\}", r"\1", text)
    text = re.sub(r"([_^])\{([A-Za-z0-9])\}", r"\1\2", text)
    return re.sub(r"(?<![A-Za-z0-9]) +| +(?![A-Za-z0-9])", "", text)


def _dollars(text: str) -> str:
    r"""Mathematics' `$` removed; a single one before a number is money, `\$`."""
    marks = len(re.findall(r"(?<!\\)\$", text))
    if marks % 2 and re.match(r"\s*-?\s*\$\s*-?[0-9.]", text):
        text = re.sub(r"(?<!\\)\$", r"\\$", text, count=1)
    return re.sub(r"(?<!\\)\$", " ", text)
