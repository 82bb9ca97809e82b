"""Answers as strips of tokens, each shaded by a score or by the weight a method gives it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..charts.number_format import numeral
from ..readers.samples import SavedAnswer
from .shading import LETTERS, LEVELS, Shade, shades, weight_shades, words

__all__ = [
    "LETTERS",
    "LEVELS",
    "Piece",
    "Shade",
    "Strip",
    "align",
    "shades",
    "strip",
    "weight_shades",
    "words",
]

MOST_TOKENS = 4000
"""Of one answer."""
PAGE_TOKENS = 64_000
"""Of all answers on one page, about 10 MB with everything that is said of them."""
BROKEN = "\ufffd"
"""What a piece of a character decodes to."""
WIDEST_GAP = 80
"""Characters of white space that may stand between two tokens."""
HIGHEST = 5


@dataclass(frozen=True)
class Piece:
    """A stretch of an answer: its text, classes that set its shading, and its scores in words."""

    text: str
    classes: str = ""
    label: str = ""
    jump: int | None = None
    """The index of its token, where it is not the one after the piece before."""


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


def longest_shown(counts: Iterable[int]) -> int:
    """How many tokens of each answer a page shows, given the lengths of all its answers.

    `MOST_TOKENS`, or the largest number with which all answers together stay within `PAGE_TOKENS`.
    """
    left, ordered = PAGE_TOKENS, sorted(counts)
    for place, count in enumerate(ordered):
        share = left // (len(ordered) - place)
        if count > share:
            return min(MOST_TOKENS, share)
        left -= count
    return MOST_TOKENS


def strip(
    answer: SavedAnswer, scales: Sequence[Shade], *, labels: bool = True, most: int = MOST_TOKENS
) -> Strip:
    """The pieces of an answer in reading order, with what each score says in short.

    Tokens that make up one character are one piece, shaded by the highest of them. `labels` False leaves
    the scores in words out, for pages that show them another way. Tokens after the first `most` are counted.
    """
    kept = answer.tokens[:most]
    stretches = list(align(kept, answer.text))
    spans = _spans([index for index, _, _ in stretches], len(kept))
    values = [shade.values(answer) for shade in scales]
    pieces, expected = list[Piece](), 0
    for (index, part, extra), span in zip(stretches, spans, strict=True):
        if index is None:
            pieces.append(Piece(part))
            continue
        shown = [[v for v in column[span[0] : span[1]] if v is not None] for column in values]
        highest = [max(found) if found else None for found in shown]
        pieces.append(_piece(part, highest, scales, extra, labels, index if index != expected else None))
        expected = index + 1
    summaries = tuple(_summary(answer, shade) for shade in scales if shade.values(answer))
    return Strip(tuple(pieces), summaries, hidden=len(answer.tokens) - len(kept))


def _spans(indices: Sequence[int | None], count: int) -> list[tuple[int, int]]:
    """For each piece the tokens it stands for: its own and those after it that no piece shows."""
    shown = sorted({index for index in indices if index is not None})
    ends = dict(pairwise([*shown, count]))
    return [(0, 0) if index is None else (index, ends[index]) for index in indices]


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
    text: str,
    values: Sequence[float | None],
    scales: Sequence[Shade],
    extra: bool,
    labels: bool,
    jump: int | None,
) -> Piece:
    marks = [shade.mark(value) for shade, value in zip(scales, values, strict=True)]
    classes = ["t extra" if extra else "t", *(mark for mark in marks if mark)]
    label = ""
    if labels:
        shown = zip(scales, values, strict=True)
        label = " · ".join(f"{words(shade.name)} {numeral(value, 3)}" for shade, value in shown)
    return Piece(text, " ".join(classes), label, jump)


def _summary(answer: SavedAnswer, shade: Shade) -> tuple[Shade, str, tuple[tuple[str, str], ...]]:
    pairs = zip(shade.values(answer), answer.tokens, strict=False)
    scored = [(value, token) for value, token in pairs if value is not None]
    mean = numeral(sum(value for value, _ in scored) / len(scored) if scored else None, 3)
    highest = sorted(scored, key=lambda pair: pair[0], reverse=True)[:HIGHEST]
    return shade, mean, tuple((token.strip() or repr(token), numeral(value, 3)) for value, token in highest)
