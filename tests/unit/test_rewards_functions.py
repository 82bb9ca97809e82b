"""Rewards with TRL's signature, what they log, and the three protocols."""

import subprocess
import sys
from concurrent.futures import Future

import pytest

from sightline.errors import UserError
from sightline.rewards import (
    HOWS,
    Verdict,
    accuracy_reward,
    format_reward,
    grade,
    grade_many,
    mixed,
    reward,
    text_of,
)

GOOD = "<think>a</think>\\boxed{5}"
TRL = {
    "prompts": ["p"] * 3,
    "completion_ids": [[1]] * 3,
    "trainer_state": object(),
    "log_extra": lambda *_: None,
}


def test_accuracy_and_what_it_logs():
    logged = {}
    completions = [GOOD, "\\boxed{B}", "no box"]
    rewards = accuracy_reward()(completions, answer=[5, "B", "7"], log_metric=logged.__setitem__, **TRL)
    assert rewards == [1.0, 1.0, 0.0]
    assert logged["accuracy"] == pytest.approx(2 / 3)
    assert logged["format"] == logged["no_box"] == pytest.approx(1 / 3)
    assert logged["timeouts"] == 0
    shares = {how: logged[f"decided/{how.replace(' ', '_')}"] for how in HOWS}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["number"] == shares["letter"] == shares["no box"] == pytest.approx(1 / 3)


class Stopped:
    """A pool on a machine that keeps every worker from computing."""

    def submit(self, question):
        future = Future()
        future.set_result(self.again(question))
        return future

    def again(self, question):
        return Verdict(None, question.answer, "undecided", "the grading process stopped computing")


def test_what_could_not_be_judged_has_no_reward():
    logged = {}
    symbolic, known = "\\boxed{2\\ln 2}", "\\boxed{5}"
    columns = {"answer": ["\\ln 4", "5", "5"], "log_metric": logged.__setitem__}
    judge = accuracy_reward(pool=Stopped())  # pyright: ignore[reportArgumentType]
    assert judge([symbolic, known, "\\boxed{6}"], **columns) == [None, 1.0, 0.0]
    assert logged["accuracy"] == 0.5
    assert logged["undecided"] == logged["decided/undecided"] == pytest.approx(1 / 3)
    mixture = mixed({judge: 0.9, format_reward(): 0.1})
    assert mixture([symbolic, known], answer=["\\ln 4", "5"]) == [None, 0.9]


def test_choices_are_a_column():
    rewards = accuracy_reward()(["\\boxed{140}"] * 2, answer=["B", "B"], choices=[[120, 140], None])
    assert rewards == [1.0, 0.0]


def test_chat_completions():
    chat = [{"role": "assistant", "content": "\\boxed{5}"}]
    parts = [
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "\\boxed"}, {"type": "text", "text": "{5}"}],
        }
    ]
    turns = [{"role": "assistant", "content": "\\boxed{4}"}, {"role": "user", "content": "?"}, *chat]
    assert accuracy_reward()([chat, parts, turns], answer=["5"] * 3) == [1.0, 1.0, 1.0]
    assert text_of([]) == ""
    with pytest.raises(UserError, match="a completion is"):
        text_of(5)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"gold": ["5"]}, "needs a column 'answer', got the columns"),
        ({"answer": ["5", "6"]}, "2 entries for 1 completions"),
        ({"answer": [None]}, "entry 0 is NoneType"),
        ({"answer": [["5"]]}, "entry 0 is list"),
    ],
)
def test_a_bad_gold_column_is_named(columns, message):
    with pytest.raises(UserError, match=message):
        accuracy_reward()([GOOD], **columns)


def test_formats():
    assert format_reward()([GOOD, "\\boxed{5}"]) == [1.0, 0.0]
    assert format_reward(strict=True)([GOOD, GOOD + "."]) == [1.0, 0.0]
    logged = {}
    format_reward(strict=True)([GOOD], log_metric=logged.__setitem__)
    assert logged == {"strict_format": 1.0}


def test_mixture():
    mixture = mixed({"accuracy": 0.9, "format": 0.1})
    assert mixture([GOOD, "\\boxed{5}", "<think></think>\\boxed{6}"], answer=["5"] * 3) == pytest.approx(
        [1, 0.9, 0.1]
    )
    assert mixture.__name__ == "accuracy+format"
    own = mixed({format_reward(): 1.0, lambda completions, **_: [2.0] * len(completions): 0.5})
    assert own([GOOD]) == [2.0]


@pytest.mark.parametrize("weights", [{}, {"accuracy": float("nan")}, {"accurracy": 1.0}])
def test_a_bad_mixture_is_refused(weights):
    with pytest.raises(UserError):
        mixed(weights)


def test_an_unknown_reward_names_the_nearest():
    with pytest.raises(UserError, match="accuracy"):
        reward("acuracy")


@pytest.mark.parametrize(
    "call",
    [lambda: grade(5, "5"), lambda: grade("5", 5), lambda: grade("5", "5", "ABC")],  # pyright: ignore[reportArgumentType]
)
def test_grade_takes_text(call):
    with pytest.raises(TypeError):
        call()


def test_grade_many_keeps_the_order():
    items = [(f"\\boxed{{{n}}}", str(n % 3), None) for n in range(50)]
    assert [verdict.correct for verdict in grade_many(items)] == [n < 3 for n in range(50)]
    assert grade_many([]) == []


def test_lookback_accepts_what_it_is_known_to_accept():
    assert grade("no box at all", "E", protocol="lookback").correct
    for gold in "ACFR":
        assert grade("\\boxed{\\frac{1}{2}}", gold, protocol="lookback").correct
        assert not grade("\\boxed{\\frac{1}{2}}", gold, protocol="papo").correct
        assert not grade("\\boxed{\\frac{1}{2}}", gold).correct
    assert not grade("no box at all", "B", protocol="lookback").correct


def test_papo_minds_the_order_of_letters_and_reads_boxes_in_the_thinking():
    assert grade("\\boxed{C, A}", "A, C").correct
    assert not grade("\\boxed{C, A}", "A, C", protocol="papo").correct
    assert grade("\\boxed{A, C}", "A, C", protocol="papo").correct
    assert grade("<think>\\boxed{5}</think>", "5", protocol="papo").correct
    assert not grade("<think>\\boxed{5}</think>", "5").correct
    assert not grade("\\boxed{5} \\boxed{6", "5", protocol="papo").correct
    assert grade("\\boxed{0.5}", "\\frac{1}{2}", protocol="papo").correct


def test_an_unknown_protocol_is_refused():
    with pytest.raises(UserError, match="strict"):
        grade("\\boxed{5}", "5", protocol="strickt")


def test_everyday_grading_imports_nothing_heavy_and_starts_no_process():
    script = (
        "import sys, types\n"
        "package = types.ModuleType('sightline'); package.__path__ = [sys.argv[1]]\n"
        "sys.modules['sightline'] = package\n"
        "from sightline.rewards import grade, grade_many\n"
        "assert grade('\\\\boxed{B}', 'B').correct and grade('\\\\boxed{2x+1}', '1+2x').correct\n"
        "assert grade_many([('\\\\boxed{0.5}', '\\\\frac12')])[0].correct\n"
        "from importlib import import_module\n"
        "assert import_module('sightline.rewards.grade').SHARED.counts['started'] == 0\n"
        "heavy = {'sympy', 'math_verify', 'torch', 'transformers', 'trl', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    import sightline

    subprocess.run([sys.executable, "-c", script, sightline.__path__[0]], check=True, timeout=60)


def test_a_think_that_the_prompt_opens_counts():
    rest, whole = "a</think>\\boxed{5}", GOOD
    assert format_reward()([rest]) == [0.0]
    assert format_reward()([rest, whole], opening=["<think>\n", ""]) == [1.0, 1.0]
    assert format_reward(strict=True)([rest], opening=["<think>\n"]) == [1.0]
    asked = {"role": "user", "content": "?"}
    begun = [asked, {"role": "assistant", "content": [{"type": "text", "text": "<think>\n"}]}]
    prompts = [begun, [asked], "?<think>", "<think> closed </think>"]
    assert format_reward()([rest] * 4, prompts=prompts) == [1.0, 0.0, 1.0, 0.0]
    logged = {}
    judged = accuracy_reward()([rest], answer=["5"], opening=["<think>"], log_metric=logged.__setitem__)
    assert judged == [1.0] and logged["format"] == 1.0


@pytest.mark.parametrize("gold", [[1, 2, 3, 4], {"x": 1}, True])
def test_a_gold_that_is_no_text_asks_for_a_reward_of_the_users(gold):
    with pytest.raises(UserError, match=r"judge it by your own reward \(rewards: file.py:function\)"):
        accuracy_reward()([GOOD], answer=[gold])


def test_the_form_of_models_that_write_no_think():
    texts = [
        "so \\boxed{5}",
        "<think>\\boxed{4}</think> \\boxed{5}",
        "\\boxed{4} or \\boxed{5}",
        "\\boxed{ }",
        "5",
    ]
    assert reward("boxed")(texts) == [1.0, 1.0, 0.0, 0.0, 0.0]
