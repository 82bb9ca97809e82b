"""Options read out of a question, for golds that are letters."""

from __future__ import annotations

import pytest

from sightline.rewards.answers.options_in_question import options_in


@pytest.mark.parametrize(
    ("question", "gold", "expected"),
    [
        ("Find x.\nChoices:\nA:40°\nB:50°\nC:60°\nD:75°", "B", ("40°", "50°", "60°", "75°")),
        ("Find x.\nChoices:\nA: 1\nB: 2\nAnswer with the letter.", "A", ("1", "2")),
        ("Which is next? (A) red (B) blue (C) a big circle", "C", ("red", "blue", "a big circle")),
        ("Which? A. 5 B. 6 C. 7", "C", ("5", "6", "7")),
        ("选择：A．甲 B．乙 C．丙", "A", ("甲", "乙", "丙")),
        ("Point A. is left. Which?\nA. 5\nB. 6", "B", ("5", "6")),
        ("Which? (A) 1 (B) 2 (C) 3", "A, C", ("1", "2", "3")),
        ("Which? A. 5 B. 6", "5", ()),
        ("Which? A. 5 B. 6", "E", ()),
        ("Which of A, B, C, D is next?", "B", ()),
        ("Which? (A) same (B) same", "B", ()),
        ("Find the area of ABCD.", "B", ()),
        ("", "A", ()),
    ],
)
def test_options_in_a_question(question: str, gold: str, expected: tuple[str, ...]) -> None:
    assert options_in(question, gold) == expected
