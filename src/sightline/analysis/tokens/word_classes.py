"""Answers as words with scores: which kinds of words, and which words, depend on the image."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..readers.samples import SavedAnswer
from .score_statistics import Mean, column, mean
from .strips import align

CLASSES = ("number", "content word", "function word", "symbol", "markup")

WORD = re.compile(r"</?\w+>|\\[A-Za-z]+|\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|\S")
"""A tag, a command, a number, a word of letters, or any other character."""

_FUNCTION_WORDS = """
a about after all also am an and any are as at be because been before being between both but by can could did
do does doing down each either for from further had has have having he her here hers him his how i if in into
is it its itself just let may me might more most must my no nor not of off on once only or other our out over
own per s same shall she should since so some such t than that the their theirs them then there therefore
these they this those through thus to too under until up upon us very was we were what when where which while
who whom whose why will with would you your yours
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words that carry grammar rather than content."""


@dataclass(frozen=True)
class ScoredWord:
    """A word of an answer with the mean score of the tokens it overlaps."""

    text: str
    kind: str
    score: float


def scored_words(told: SavedAnswer, name: str) -> Iterator[ScoredWord]:
    """The words of an answer that have a score, in order; tokens that stand in no word are left out."""
    values = column(told, name)
    place, covered = 0, np.full(len(told.text), -1)
    for index, part, extra in align(told.tokens, told.text):
        if extra:
            continue
        start = told.text.find(part, place) if part else place
        place = start + len(part)
        covered[start:place] = -1 if index is None else index
    for match in WORD.finditer(told.text):
        tokens = np.unique(covered[match.start() : match.end()])
        known = values[tokens[(tokens >= 0) & (tokens < len(values))]]
        known = known[np.isfinite(known)]
        if len(known):
            yield ScoredWord(match[0].lower(), word_class(match[0]), float(known.mean()))


def word_class(word: str) -> str:
    """Which of `CLASSES` a match of `WORD` belongs to."""
    if word[0].isdigit():
        return "number"
    if word[0] in "<\\" and len(word) > 1:
        return "markup"
    if word[0].isalpha():
        return "function word" if word.lower() in FUNCTION_WORDS else "content word"
    return "symbol"


def by_class(answers: Iterable[SavedAnswer], name: str) -> dict[str, Mean]:
    """Mean score per class of words, an answer's mean counting once; classes that occur, in order."""
    means: dict[str, list[float]] = defaultdict(list)
    for told in answers:
        found: dict[str, list[float]] = defaultdict(list)
        for word in scored_words(told, name):
            found[word.kind].append(word.score)
        for kind, scores in found.items():
            means[kind].append(math.fsum(scores) / len(scores))
    return {kind: mean(means[kind]) for kind in CLASSES if kind in means}


def top_words(
    answers: Iterable[SavedAnswer], name: str, *, least: int = 3, most: int = 25
) -> list[tuple[str, float, int]]:
    """(word, mean score, occurrences) of the `most` highest words that occur at least `least` times.

    Where no word occurs so often, all words count.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for told in answers:
        for word in scored_words(told, name):
            found[word.text].append(word.score)
    often = {text: scores for text, scores in found.items() if len(scores) >= least} or found
    ranked = [(text, math.fsum(scores) / len(scores), len(scores)) for text, scores in often.items()]
    return sorted(ranked, key=lambda row: (-row[1], row[0]))[:most]
