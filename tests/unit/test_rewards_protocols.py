"""The papers' protocols beside ours."""

from __future__ import annotations

import pytest

from sightline.rewards import grade


def test_a_wrong_answer_is_reported_as_what_was_answered() -> None:
    """Look-Back tries gold and answer both ways round; the verdict still names the answer."""
    verdict = grade(r"\boxed{7}", "5", protocol="lookback")
    assert not verdict.correct
    assert verdict.answer == "7"


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("B", "B", True),
        ("(B)", "B", True),
        ("b", "B", True),
        (r"\text{B}", "B", True),
        ("B. 140", "B", False),
        ("A, C", "A, C", True),
        ("(A), (C)", "A, C", True),
        ("C, A", "A, C", False),
        ("CA", "AC", False),
        ("140", "B", False),
        ("x = 5", "5", True),
        ("5", "x=5", True),
        ("y = 5", "x = 5", False),
        ("x = 5 = 6", "5", False),
        (r"\frac{1}{2}", "0.5", True),
    ],
)
def test_papo_matches_as_symbols_in_their_order(answer: str, gold: str, same: bool) -> None:
    verdict = grade(rf"\boxed{{{answer}}}", gold, protocol="papo")
    assert (verdict.correct, verdict.answer) == (same, answer)


@pytest.mark.parametrize(
    ("response", "gold", "strict", "papo", "lookback"),
    [
        ("no box at all", "E", False, False, True),
        ("no box at all", "A", False, False, False),
        *((r"\boxed{\frac{1}{2}}", gold, False, False, gold != "B") for gold in "ACFRB"),
        *((r"\boxed{ABCD}", gold, False, False, gold != "E") for gold in "ABCDE"),
        (r"<think> \boxed{3} </think> so it is 3", "3", False, True, True),
        (r"\boxed{4} <think>", "4", True, True, True),
        (r"\boxed {4}", "4", True, False, False),
        (r"<think> \boxed{A, C} </think> \boxed{C, A}", "A, C", True, False, False),
    ],
)
def test_what_the_published_protocols_accept_and_we_do_not(response, gold, strict, papo, lookback) -> None:
    found = [grade(response, gold, protocol=name).correct for name in ("strict", "papo", "lookback")]
    assert found == [strict, papo, lookback]
