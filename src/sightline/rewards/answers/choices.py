r"""Option letters: `B`, `(B)`, `\textbf{(B)}`, `B. 140^\circ`, `A, C`, `AC`, and what only looks like one.

A letter stands alone, in brackets, in front of a full stop, colon or closing bracket, or in front of a
number. Several letters are a set. "A or B" is no letter, nor is the A of "A circle".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .latex import canonical, flat
from .numbers.units import quantity
from .words import DENIAL

_LAST_OF_RUN = "J"
_ANNOUNCED = re.compile(
    r"(?:(?:so|thus|hence|therefore)\b,?\s*)?(?:the\s+)?(?:(?:final|correct|right|best)\s+)?"
    r"(?:answers?|options?|choices?)\b(?:\s+(?:is|are)\b)?\s*[:=]?\s*(?=\S)",
    re.IGNORECASE,
)
_ANNOUNCED_IN_CHINESE = re.compile(
    r"(?:(?:综上(?:所述)?|因此|所以|从而|于是|则|故|即)\s*[,:]?\s*)*"
    r"(?:(?:本题|此题|该题)\s*)?(?:(?:的)?(?:正确|最终|最后)的?)?"
    r"(?:(?:答案|选项|结果)\s*(?:应该|应)?\s*(?:选择|选|是|为)?(?:选项)?|(?:应该|应当|应)?(?:选择|选)(?:项)?|答(?=\s*:)"
    r"|正确的?(?=[是为]))\s*[是为]?"
    r"\s*[:=]?\s*(?=[^\s:=])(?!不|非|错)"
)
_SAID_IN_CHINESE = re.compile(
    r"(?<=[A-Za-z)])\s*(?:选项|项)?\s*(?:是|为)?(?:正确的?|对的|正确答案|正确选项|答案)?\s*$"
)
_ANNOUNCED_AS_TEXT = re.compile(rf"\\text\s*\{{\s*(?:{_ANNOUNCED.pattern})\}}\s*(?=\S)", re.IGNORECASE)
_LETTER = r"(?:\(\s*{0}\s*\)|\[\s*{0}\s*\]|{0}\s*\)|{0})"
_ALONE = re.compile(_LETTER.format("([A-Za-z])") + r"\s*[.:]?")
_BETWEEN = r"\s*(?:[,;&]\s*(?:and\s+)?|\\&\s*|\band\b\s*|[和与]\s*|(?<=\))(?=\())\s*"
_BOTH = r"(?:[Bb]oth\s+)?"
_UPPER, _LOWER = _LETTER.format("[A-Z]"), _LETTER.format("[a-z]")
_SEVERAL = re.compile(
    rf"{_BOTH}{_UPPER}(?:{_BETWEEN}{_UPPER})+|{_BOTH}{_LOWER}(?:{_BETWEEN}{_LOWER})+|[A-Z](?:\s[A-Z])+"
)
_RUN = re.compile(rf"[A-{_LAST_OF_RUN}]{{2,}}")
_LABEL = re.compile(r"(?:\(\s*([A-Za-z])\s*\)|\[\s*([A-Z])\s*\]|([A-Za-z])\s*[.:)]|([A-Z])\s+-\s)\s*(?=\S)")
_BARE = re.compile(r"([A-Z])\s+(?=[-0-9\\$.])")
_BRACKETED = re.compile(r"([A-Z]|\([A-Z]\))\s+\(([^()]+|[^()]*\([^()]*\)[^()]*)\)")
_DOUBTED = re.compile(rf"{DENIAL.pattern}|(?<![A-Za-z\\])[A-{_LAST_OF_RUN}](?![A-Za-z])")
"""A denial or another letter in the brackets behind a letter."""
_ASSERTED = re.compile(
    r"\(?([A-Z])\)?\s+is\s+(?:the\s+)?(?:(?:correct|right|best)(?:\s+(?:answer|option|choice|one))?|answer)"
)
_SPOKEN_OF = re.compile(r"(?:is|are|was|isn't|cannot|can't)\b")
_BRACED = re.compile(r"\\\{(.*)\\\}|\[(.*)\]")
_ANOTHER = re.compile(
    r"(?:^|[\s,;/(])(?:\(?[A-Z]\)|[A-Z][.:](?=\s|$))|\b(?:or|and|not)\s+\(?[A-Z]\)?\s*$|^\(?[A-Z]\)?$|[,/]\s*[A-Z]\s*$"
)


@dataclass(frozen=True)
class Letters:
    """Which options an answer names, and what it says beside the letter."""

    names: frozenset[str]
    """Upper-case letters."""
    rest: str = ""
    """The text after a single letter (`140^\\circ` of `B. 140^\\circ`)."""
    hedged: bool = False
    """Whether that text names another option as well (`B. 140 or C. 160`)."""

    def __str__(self) -> str:
        return ", ".join(sorted(self.names))


def announced(text: str) -> str:
    """`text` without "the answer is", "option", "final answer:", 故选, 答案是 in front."""
    while (match := _ANNOUNCED.match(text) or _ANNOUNCED_AS_TEXT.match(text)) and match.end() > 0:
        text = text[match.end() :].strip()
    if not text.isascii() and (match := _ANNOUNCED_IN_CHINESE.match(flat(text))) and match.end() > 0:
        return announced(flat(text)[match.end() :].strip())
    return text


def letters(text: str) -> Letters | None:
    """The option letters that canonical `text` names, in the widest reading; None if it names none."""
    text = announced(flat(text))
    if not text.isascii():
        text = _SAID_IN_CHINESE.sub("", text)
    if (braced := _BRACED.fullmatch(text)) and _SEVERAL.fullmatch(inside := braced[1] or braced[2] or ""):
        text = inside.strip()
    if alone := _ALONE.fullmatch(text):
        return Letters(frozenset(_first(alone).upper()))
    if _SEVERAL.fullmatch(text):
        return _distinct(re.findall(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])", re.sub(_BOTH, "", text, count=1)))
    if _RUN.fullmatch(text):
        return _distinct(list(text))
    if asserted := _ASSERTED.fullmatch(text):
        return _labelled(asserted[1], "")
    if (bracketed := _BRACKETED.fullmatch(text)) and not _DOUBTED.search(bracketed[2]):
        return _labelled(bracketed[1].strip("()"), bracketed[2])
    label = _LABEL.match(text) or _BARE.match(text)
    if label is None:
        return None
    rest = text[label.end() :].strip()
    if (label.re is _BARE and quantity(canonical(rest)) is None) or _SPOKEN_OF.match(rest):
        return None
    return _labelled(_first(label), rest)


def gold_letters(text: str) -> Letters | None:
    """The option letters that a canonical gold names, in the narrow reading; None if it is a value.

    A lower-case letter is a variable, and capitals run together must be in order (AC).
    """
    named, plain = letters(text), flat(text)
    if named is None or (named.rest and not re.match(r"[A-Z(\[\\]", text)):
        return None
    in_order = not _RUN.fullmatch(plain) or list(plain) == sorted(plain)
    return named if in_order and not plain.islower() else None


def option_letters(text: str, values: Sequence[str]) -> Letters | None:
    """The letters of canonical `text` that name options which exist; None if it gives a value.

    What is itself the value of an option (a variable x, a segment AB) gives that value; only a single
    capital is a letter before it is a value.
    """
    named = letters(text)
    if named is None or (text in values and not re.fullmatch("[A-Z]", text)):
        return None
    return named if named.names <= {letter_of(index) for index in range(len(values))} else None


def letter_of(index: int) -> str:
    """The letter of an option: 0 is A."""
    return chr(ord("A") + index) if index < 26 else f"option {index + 1}"


def unlabelled(choices: Sequence[str]) -> list[str]:
    """The values of the options, without "A.", "(B)" in front if every option carries its own."""
    texts = [canonical(choice) for choice in choices]
    labels = [_LABEL.match(text) for text in texts]
    if all(label and _first(label) == letter_of(i) for i, label in enumerate(labels)):
        return [canonical(text[label.end() :]) for text, label in zip(texts, labels, strict=True) if label]
    return texts


def _labelled(letter: str, rest: str) -> Letters:
    return Letters(frozenset(letter.upper()), rest, _ANOTHER.search(rest) is not None)


def _distinct(names: list[str]) -> Letters | None:
    upper = [name.upper() for name in names]
    return Letters(frozenset(upper)) if len(set(upper)) == len(upper) else None


def _first(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)
