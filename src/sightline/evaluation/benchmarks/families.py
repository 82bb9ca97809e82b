"""Problems that belong together though no column says so: by their images and by what they ask."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MOST_ALIKE = 12
"""A question that more problems of a set share is a form ("Find x."), not a problem in versions: DynaMath has
ten variants of a problem, MathVerse five versions."""
FEWEST_WORDS = 6
"""A shorter question says too little to tell problems apart."""

_NUMBER = re.compile(r"[-−]?\d+(?:[.,]\d+)*")
_CHOICES = re.compile(r"\n\s*(?:choices|options)\s*:|(?:^|\s)\(?A\s*[.:)、:．]\s*\S", re.IGNORECASE)
_CLAUSE = re.compile(r"[.?!;,](?=\s)|\n")
_WORD = re.compile(r"[a-z0-9#]+|[^\W\x00-\x7f]", re.IGNORECASE)
"""A word, or one character of a script without spaces."""

IMAGE = "image"


@dataclass(frozen=True)
class Related:
    """What of a problem may show that it belongs to another."""

    question: str
    answer: str = ""
    choices: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    """Names of its images, equal for equal pixels."""


class Groups:
    """Members that were said to belong together, directly or through others."""

    def __init__(self, size: int):
        self._leader = list(range(size))

    def leader(self, member: int) -> int:
        """The first member of its group."""
        while self._leader[member] != member:
            self._leader[member] = self._leader[self._leader[member]]
            member = self._leader[member]
        return member

    def join(self, members: Iterable[int]) -> None:
        """All of these belong together."""
        first, *others = sorted({self.leader(member) for member in members})
        for other in others:
            self._leader[other] = first


def families(problems: Sequence[Related], most_alike: int = MOST_ALIKE) -> list[int]:
    """For every problem the number of the first one it belongs to; its own, if it stands alone.

    Two problems belong together if they share an image; if they ask the same, word for word or up to their
    numbers (variants); or if they end in the same clause with the same choices (versions that say more or
    less before it). What more than `most_alike` share, or fewer than six words, says nothing. A problem that
    asks by such a form follows the one before it if both have the same gold: a version whose question is in
    its image.
    """
    groups = Groups(len(problems))
    named: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, problem in enumerate(problems):
        for key in _keys(problem):
            named[key].append(place)
    for (kind, *_), places in named.items():
        if kind == IMAGE or len(places) <= most_alike:
            groups.join(places)
    asked = Counter(_plain(problem.question) for problem in problems)
    forms = [asked[_plain(problem.question)] > most_alike for problem in problems]
    for place in range(1, len(problems)):
        same_gold = problems[place].answer == problems[place - 1].answer
        if forms[place] and not forms[place - 1] and same_gold:
            groups.join([place - 1, place])
    return [groups.leader(place) for place in range(len(problems))]


def _keys(problem: Related) -> Iterator[tuple[str, ...]]:
    """What problems that belong together have in common, each by its kind."""
    for name in problem.fingerprints:
        yield IMAGE, name
    cut = _CHOICES.search(problem.question)
    stem = problem.question[: cut.start()] if cut else problem.question
    listed = _plain(problem.question[cut.start() :] if cut else " ".join(problem.choices))
    if _says_enough(problem.question):
        yield "question", _plain(problem.question), *problem.choices
    if _says_enough(stem):
        yield "stem", _NUMBER.sub("#", _plain(stem))
    clauses = [clause for clause in _CLAUSE.split(stem) if _WORD.search(clause)]
    if clauses and any(len(word) > 1 or word.isdigit() for word in _WORD.findall(listed)):
        yield "end", _plain(clauses[-1]), listed, problem.answer


def _says_enough(question: str) -> bool:
    return len(_WORD.findall(question)) >= FEWEST_WORDS


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
