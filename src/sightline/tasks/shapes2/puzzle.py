"""What is asked of an image: facts to be read off it and put together, the last of them late."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from ..shapes.response import Role, Word, Words, derived, read, say
from . import phrases
from .vocabulary import BAR, DIAL, TAG

FILLED = 0.15
"""Share of readings that a filler follows."""

_READINGS = {BAR: phrases.BARS, DIAL: phrases.DIALS, TAG: phrases.TAGS}
"""Ways to read a fact by the last word of its name; anything else is counted."""


@dataclass(frozen=True)
class Fact:
    """A number in the image."""

    name: str
    value: int
    usual: int
    """The likeliest value given the name alone."""
    colour: str | None = None
    """Of the bar that the legend gives this name; it has to be read first."""


@dataclass(frozen=True)
class Puzzle:
    """The sum of all facts but the last, and then the last added or taken away."""

    facts: tuple[Fact, ...]
    sign: str
    """Of the last fact, "+" or "-"."""

    @property
    def answer(self) -> int:
        """What the image gives."""
        return self._total([fact.value for fact in self.facts])

    @property
    def possible_answer(self) -> int | None:
        """The answer; None if it is below zero, as no puzzle's is."""
        return self.answer if self.answer >= 0 else None

    @property
    def usual_answer(self) -> int:
        """What the question alone suggests: the answer if every value were the usual one."""
        return self._total([fact.usual for fact in self.facts])

    def from_habit(self) -> Puzzle:
        """The same puzzle as one who does not look takes it: every value is the usual one."""
        return replace(self, facts=tuple(replace(fact, value=fact.usual) for fact in self.facts))

    def _total(self, values: list[int]) -> int:
        return sum(values[:-1]) + (values[-1] if self.sign == "+" else -values[-1])

    def question(self, random: Random) -> str:
        """One of the ways to ask for the answer; the facts stand in their order."""
        *early, late = [fact.name for fact in self.facts]
        return random.choice(phrases.QUESTIONS[self.sign]).format(early=" and ".join(early), late=late)

    def reasoning(self, random: Random) -> Words:
        """One of the ways to work it out.

        All facts but the last come in a random order, added at once or after each other; the last
        is read when everything before it is worked out.
        """
        *early, late = self.facts
        random.shuffle(early)
        at_once = random.random() < 0.5
        told: list[str | Words] = [random.choice(phrases.OPENINGS)]
        total = early[0].value
        for number, fact in enumerate(early):
            told += [random.choice(phrases.CONNECTIVES)] if number else []
            told += _reading(random, fact)
            if number and not at_once:
                told.append(_step(random, total, "+", fact.value))
                total += fact.value
        told.append(random.choice(phrases.BRIDGES))
        for fact in early[1:] if at_once else ():
            told.append(_step(random, total, "+", fact.value))
            total += fact.value
        told += [random.choice(phrases.CONNECTIVES), *_reading(random, late)]
        told.append(_step(random, total, self.sign, late.value))
        total += late.value if self.sign == "+" else -late.value
        return say(*told, _fill(random.choice(phrases.ENDINGS), result=derived(total)), ".")


def signed(random: Random, facts: list[Fact]) -> Puzzle:
    """The puzzle with a random sign, unless the answer or the usual one would be below zero."""
    puzzle = Puzzle(tuple(facts), random.choice("+-"))
    return puzzle if min(puzzle.answer, puzzle.usual_answer) >= 0 else Puzzle(puzzle.facts, "+")


def _reading(random: Random, fact: Fact) -> list[str | Words]:
    kind = fact.name.split()[-1]
    told: list[str | Words] = []
    slots = {"name": say(fact.name), "value": read(fact.value)}
    if fact.colour is not None:
        mark = say(fact.name.split()[0])
        colour = (Word(fact.colour, Role.READ),)
        told += [_fill(random.choice(phrases.LEGENDS), mark=mark, colour=colour), "."]
        slots["colour"] = (Word(fact.colour, Role.DERIVED),)
    told += [_fill(random.choice(_READINGS.get(kind, phrases.COUNTS)), **slots), "."]
    return [*told, random.choice(phrases.FILLERS)] if random.random() < FILLED else told


def _step(random: Random, left: int, sign: str, right: int) -> Words:
    ways, result = (phrases.SUMS, left + right) if sign == "+" else (phrases.DIFFERENCES, left - right)
    slots = {"left": derived(left), "right": derived(right), "result": derived(result)}
    return say(_fill(random.choice(ways), **slots), ".")


def _fill(phrase: str, **slots: Words) -> Words:
    return say(*[slots[word[1:-1]] if word.startswith("{") else word for word in phrase.split()])
