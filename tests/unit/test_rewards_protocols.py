"""The papers' protocols beside ours."""

from __future__ import annotations

import pytest

from sightline.rewards import grade, reward


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
        ("(A), (C)", "A, C", False),
        ("C, A", "A, C", False),
        ("CA", "AC", True),
        ("140", "B", False),
        ("x = 5", "5", True),
        ("5", "x=5", True),
        ("y = 5", "x = 5", True),
        ("x = 5 = 6", "5", False),
        ("yes", "Yes", True),
        ("2/4", "1/2", False),
        ("12 m", "12", False),
        ("2, 1", "1, 2", False),
        (r"\frac{1}{2}", "0.5", True),
    ],
)
def test_papo_is_mathruler_with_its_quirks(answer: str, gold: str, same: bool) -> None:
    for protocol in ("papo", "mathruler"):
        verdict = grade(rf"\boxed{{{answer}}}", gold, protocol=protocol)
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


@pytest.mark.parametrize(
    ("answer", "gold"),
    [("-3°", "-3"), ("-2^2", "-4"), ("-2.75 cm", "-2.75"), ("a=3, b=-1+0", "a=3, b=-1"), ("3 apples", "3")],
)
def test_look_back_asks_math_verify_of_the_bare_text(answer: str, gold: str) -> None:
    assert grade(rf"\boxed{{{answer}}}", gold, protocol="lookback").correct


def test_a_response_without_a_box_answers_none_to_the_published_graders() -> None:
    for protocol in ("papo", "mathruler", "lookback"):
        assert grade("I cannot say", "none", protocol=protocol).correct
        assert grade("I cannot say", "5", protocol=protocol).how == "no box"
    assert not grade("I cannot say", "none").correct


@pytest.mark.parametrize(
    "answer",
    [
        r"9^9^9^9",
        "99999999!",
        "(9!)!!!",
        "9**9**9**9",
        "x**999999999",
        "__import__('os')",
        "ee.ee()",
        "[0]*999999999",
        "all([1])",
        "lambda: 0",
        "(" * 1500,
        r"\sqrt{" * 300,
    ],
)
def test_what_hangs_or_would_be_evaluated_there_is_wrong_here(answer: str) -> None:
    for protocol in ("mathruler", "lookback"):
        assert grade(rf"\boxed{{{answer}}}", "7", protocol=protocol).correct is False


def test_mathruler_is_a_reward_of_its_own() -> None:
    found = reward("mathruler")([r"\boxed{B.}", r"\boxed{b}"], answer=["B", "B"])
    assert found == [0.0, 1.0]
    assert reward("mathruler").__name__ == "accuracy"
