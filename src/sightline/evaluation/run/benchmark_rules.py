"""What a benchmark's own scoring accepts beside equal answers: a tolerance, or a gold within the answer."""

from __future__ import annotations

import re

from ...rewards import Verdict
from ...rewards.answers.latex import canonical
from ...rewards.answers.numbers.units import quantity
from ..benchmarks.item import Item

WITHIN = "tolerance"
"""How an answer was accepted that is no equal number but lies within the benchmark's own tolerance."""
CONTAINS = "containment"
"""How an answer was accepted in which a gold stands, where that is the benchmark's own rule."""

ORDER = "order"
"""How an answer was decided whose numbers have to be the gold's, in their order."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WRITTEN = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit)\s*\{([^{}]*)\}|\\([%$&#_])|[\n ]+")


def by_own_rule(verdict: Verdict, item: Item, protocol: str) -> Verdict:
    """A verdict under the benchmark's own rule, which holds under `strict` alone.

    A number within the tolerance of a gold is right, and so is an answer in which a gold stands, or which
    has its numbers in their order, if the benchmark says so. A response without a box stays wrong.
    """
    answer = verdict.answer
    if answer is None or verdict.correct is None or protocol != "strict":
        return verdict
    if item.rule == "numbers_in_order":
        right = any(_numbers(answer) == _numbers(gold) for gold in item.golds)
        return Verdict(right, answer, ORDER, None if right else f"other numbers than {item.answer}")
    if verdict.correct:
        return verdict
    if item.tolerance is not None and any(_near(answer, gold, item.tolerance) for gold in item.golds):
        return Verdict(True, answer, WITHIN, None)
    if item.rule and any(_within(gold, answer, item.rule) for gold in item.golds):
        return Verdict(True, answer, CONTAINS, None)
    return verdict


def _numbers(text: str) -> list[str]:
    return _NUMBER.findall(text)


def _near(answer: str, gold: str, tolerance: float) -> bool:
    ours, theirs = quantity(canonical(answer)), quantity(canonical(gold))
    if ours is None or theirs is None or (ours.unit and theirs.unit and ours.unit != theirs.unit):
        return False
    return abs(ours.number.approximate() - theirs.number.approximate()) <= tolerance * (1 + 1e-9)


def _within(gold: str, answer: str, rule: str) -> bool:
    if rule == "contains_letters":
        return bool(gold.strip()) and "".join(gold.split()) in "".join(answer.split())
    wanted, said = (_plain(text) for text in (gold, answer))
    return bool(wanted) and wanted in said


def _plain(text: str) -> str:
    """Text in lower case, its white space single, without the commands that only set it."""
    return _WRITTEN.sub(lambda found: found[1] or found[2] or " ", text).lower().strip()
