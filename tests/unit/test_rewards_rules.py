"""The order in which the rules of equality are asked is declared once, and docs/grading.md shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sightline.rewards.answers.decision import decide
from sightline.rewards.answers.equality import RULES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "grading.md"


def never(gold: str, answer: str) -> bool:
    raise AssertionError(f"{answer} and {gold} were put to the symbolic engine")


def test_the_page_shows_every_rule_in_its_order() -> None:
    table = (
        PAGE.read_text(encoding="utf-8")
        .partition("| rule | what it does |\n|---|---|\n")[2]
        .partition("\n\n")[0]
    )
    shown = [
        tuple(cell.strip() for cell in re.split(r"(?<!\\\\)\|", row)[1:-1]) for row in table.splitlines()
    ]
    assert shown == [(rule.name, rule.says) for rule in RULES]
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("answer", "gold", "correct", "how"),
    [
        ("1, 2", r"\{2, 1\}", True, "list"),  # before "number": 1,2 is no number
        ("x = 7", "7", True, "equation"),  # before "variables", which differ
        (r"\text{dog}", "god", False, "text"),  # before "symbolic": the letters are the same
        ("(x+1)^2", "x^2+2x+1", True, "polynomial"),  # before "symbolic"
        ("9^{9^{9^{9}}}", "5", False, "number"),  # never computed
        ("2y = 4x+6", "y = 2x+3", True, "polynomial"),  # an equation goes on after "words"
    ],
)
def test_an_earlier_rule_decides(answer: str, gold: str, correct: bool, how: str) -> None:
    verdict = decide(answer, gold, [], never)
    assert (verdict.correct, verdict.how) == (correct, how)
