"""Answers as strips of tokens, each shaded by a score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .numerals import numeral
from .samples import Answer

LEVELS = 8
"""Steps of shading above none."""

LETTERS = "abcdef"
"""One per score, for class names; so at most this many scores on one page."""

MOST_TOKENS = 4000
BROKEN = "\ufffd"
"""What a piece of a character decodes to."""
WIDEST_GAP = 80
"""Characters of white space that may stand between two tokens."""
HIGHEST = 5


@dataclass(frozen=True)
class Shade:
    """How one score becomes shading: linear from `low` (none) to `high` (full), the same on a whole page."""

    letter: str
    name: str
    low: float
    high: float

    def level(self, value: float | None) -> int | None:
        """0 to `LEVELS`; None if there is no score."""
        if value is None:
            return None
        if self.high <= self.low:
            return 0
        share = (value - self.low) / (self.high - self.low)
        return round(LEVELS * min(max(share, 0.0), 1.0))

    @property
    def legend(self) -> list[tuple[int, str]]:
        """Each level with the value at its centre."""
        step = (self.high - self.low) / LEVELS
        return [(level, numeral(self.low + level * step, digits=2)) for level in range(LEVELS + 1)]


@dataclass(frozen=True)
class Piece:
    """A stretch of an answer: its text, classes that set its shading, and its scores in words."""

    text: str
    classes: str = ""
    label: str = ""


@dataclass(frozen=True)
class Strip:
    """One answer, ready to be shown."""

    pieces: tuple[Piece, ...]
    summaries: tuple[tuple[Shade, str, tuple[tuple[str, str], ...]], ...]
    """Per score: its mean, and the highest tokens with their scores."""
    hidden: int
    """Tokens left out at the end because the answer is very long."""

    @property
    def long(self) -> bool:
        """Whether it may need scrolling, so that the keyboard has to reach it."""
        return len(self.pieces) > 300


def shades(answers: Iterable[Answer]) -> tuple[Shade, ...]:
    """One shade per score that occurs, with a range that all answers share.

    The range runs from the 2nd to the 98th percentile over all tokens, so that one extreme token does
    not bleach the rest; it starts at 0 for scores that are never negative and reach down near 0.
    """
    values: dict[str, list[float]] = {}
    for answer in answers:
        for name, scores in answer.scores.items():
            values.setdefault(name, []).extend(score for score in scores if score is not None)
    found = [(name, _range(np.array(scores))) for name, scores in values.items() if scores]
    return tuple(
        Shade(letter, name, low, high)
        for letter, (name, (low, high)) in zip(LETTERS, found[: len(LETTERS)], strict=False)
    )


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = (float(q) for q in np.quantile(values, [0.02, 0.98]))
    if values.min() >= 0 and low < 0.5 * high:
        low = 0.0
    return low, high


def strip(answer: Answer, scales: Sequence[Shade]) -> Strip:
    """The pieces of an answer in reading order, with what each score says in short."""
    kept = answer.tokens[:MOST_TOKENS]
    pieces = tuple(
        Piece(part) if index is None else _piece(part, index, answer.scores, scales, extra)
        for index, part, extra in align(kept, answer.text)
    )
    summaries = tuple(_summary(answer, shade) for shade in scales if shade.name in answer.scores)
    return Strip(pieces, summaries, hidden=len(answer.tokens) - len(kept))


def align(tokens: Sequence[str], text: str) -> Iterator[tuple[int | None, str, bool]]:
    """Cut `text` at its tokens: (token index or None for what lies between, the piece, whether it is extra).

    White space that tokens leave out comes back from the text. A token that does not stand in the text
    (an end-of-sequence mark) is yielded as extra. A character that was cut into several tokens, each of
    which decodes to U+FFFD, is yielded under the first of them. What no token covers comes last, so all of
    the text is there, in order.
    """
    place, broken = 0, list[int]()
    for index, token in enumerate(tokens):
        if BROKEN in token and not text.startswith(token, place):
            broken.append(index)
            continue
        start, part = _find(token, text, place, sum(len(tokens[i]) for i in broken))
        if start < 0:
            yield index, token, True
            continue
        if start > place:
            yield (broken[0] if text[place:start].strip() and broken else None), text[place:start], False
        broken, place = [], start + len(part)
        yield index, part, False
    if text[place:].strip():
        yield (broken[0] if broken else None), text[place:], False


def _find(token: str, text: str, place: int, slack: int) -> tuple[int, str]:
    """Where a token, or else the token without white space around it, begins in the text; -1 if it does not.

    It has to come next, after white space and at most `slack` further characters.
    """
    blank = len(text[place : place + WIDEST_GAP]) - len(text[place : place + WIDEST_GAP].lstrip())
    for part, ahead in ((token, slack), (token.strip(), blank + slack)):
        start = text.find(part, place, place + ahead + len(part)) if part else -1
        if start >= 0 and (slack or not text[place:start].strip()):
            return start, part
    return -1, token


def _piece(
    text: str, index: int, scores: Mapping[str, Sequence[float | None]], scales: Sequence[Shade], extra: bool
) -> Piece:
    classes, labels = ["t extra" if extra else "t"], []
    for shade in scales:
        values = scores.get(shade.name, ())
        value = values[index] if index < len(values) else None
        level = shade.level(value)
        classes.append(f"{shade.letter}{'n' if level is None else level}")
        labels.append(f"{words(shade.name)} {numeral(value, 3)}")
    return Piece(text, " ".join(classes), " · ".join(labels))


def _summary(answer: Answer, shade: Shade) -> tuple[Shade, str, tuple[tuple[str, str], ...]]:
    scored = [
        (value, token)
        for value, token in zip(answer.scores[shade.name], answer.tokens, strict=False)
        if value is not None
    ]
    mean = numeral(sum(value for value, _ in scored) / len(scored) if scored else None, 3)
    highest = sorted(scored, key=lambda pair: pair[0], reverse=True)[:HIGHEST]
    return shade, mean, tuple((token.strip() or repr(token), numeral(value, 3)) for value, token in highest)


def words(name: str) -> str:
    """A name in words: `visual_focus` is `visual focus`, `exact_kl` is `exact KL`."""
    return " ".join("KL" if part == "kl" else part for part in name.split("_"))
