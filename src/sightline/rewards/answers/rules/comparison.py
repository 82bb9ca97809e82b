"""One comparison of an answer with its gold: what a rule is given and what it may return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Symbolic = Callable[[str, str], bool]
"""Whether two expressions, gold first, are mathematically equal."""


class Undecided(Exception):  # noqa: N818 (a finding, not a failure)
    """Only a symbolic comparison can tell."""


@dataclass(frozen=True)
class Match:
    """Whether two answers are the same, and what decided it."""

    same: bool
    how: str
    why_not: str | None = None


@dataclass(frozen=True)
class EqualityRule:
    """A step of the comparison.

    `apply(answer, gold, comparison)` returns a `Match` if it decides, both texts rewritten for the rules
    after it, or None if it has nothing to say.
    """

    name: str
    apply: Callable[[str, str, Comparison], Match | tuple[str, str] | None]

    @property
    def says(self) -> str:
        """What it does, in one sentence: the first paragraph of its docstring."""
        return " ".join((self.apply.__doc__ or "").partition("\n\n")[0].split())


@dataclass(frozen=True)
class Comparison:
    """Two texts at one level of their structure; the items of a list are one level further in."""

    answer: str
    """As it was written at this level, for `why_not`."""
    gold: str
    rules: tuple[EqualityRule, ...]
    """In the order in which they are asked."""
    symbolic: Symbolic
    within: Callable[[str, str, Symbolic, int], Match]
    """Compares two texts by all rules at a given depth."""
    depth: int = 0
    """0 is the whole answer."""

    def inner(self, answer: str, gold: str) -> Match:
        """Compares two parts, by all rules again."""
        return self.within(answer, gold, self.symbolic, self.depth + 1)

    def decide(self, answer: str, gold: str, after: str | None = None) -> Match:
        """The first decision of the rules, or of those that stand after the one named."""
        names = [rule.name for rule in self.rules]
        for rule in self.rules[names.index(after) + 1 if after else 0 :]:
            found = rule.apply(answer, gold, self)
            if isinstance(found, Match):
                return found
            answer, gold = found or (answer, gold)
        raise AssertionError("the last rule decides")

    def verdict(self, same: bool, how: str) -> Match:
        """The same, or "the answer is not the gold"."""
        return Match(same, how) if same else self.differs(how)

    def differs(self, how: str, relation: str = "is not") -> Match:
        """Not the same; `relation` stands between the answer and the gold in `why_not`."""
        return Match(False, how, f"{self.answer} {relation} {self.gold}")
