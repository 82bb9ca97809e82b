"""A reward of the user's own: found, limited, and its mistakes reported with the sample."""

import copy
import itertools
import sys
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
import torch

from sightline.errors import UserError
from sightline.rewards import guarded, load_reward, mixed

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Limits:
    low: int = 1

def length(completions, **columns):
    return [len(text) for text in completions]

async def later(completions, **columns):
    return [1.0] * len(completions)

number = 5
"""


class Unspeakable:
    def __repr__(self):
        raise RuntimeError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_rewards.py"
    path.write_text(SOURCE)
    return path


def test_from_a_file(file):
    reward = load_reward(f"{file}:length")
    assert reward(["a", "bcd"], answer=["x", "y"]) == [1.0, 3.0]
    assert reward.__name__ == "length"
    assert mixed({f"{file}:length": 2.0})(["ab"]) == [4.0]


def test_from_a_package():
    reward = load_reward("sightline.rewards.answers.extract:last_box")
    assert reward.__name__ == "last_box"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("length", "file.py:function or package:function"),
        ("{file}:lenght", "length"),
        ("{file}:number", "plain function"),
        ("{file}.gone.py:length", "there is no file"),
        ("no_such_package:length", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_loaded_says_so(file, name, message):
    with pytest.raises(UserError, match=message):
        load_reward(name.format(file=file))


def test_a_file_that_fails_says_so(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(UserError, match="cannot be imported: ZeroDivisionError"):
        load_reward(f"{tmp_path}/broken.py:f")
    (tmp_path / "leaving.py").write_text("import sys; sys.exit()")
    with pytest.raises(UserError, match="cannot be imported: SystemExit"):
        load_reward(f"{tmp_path}/leaving.py:f")


def test_an_exception_is_shown_with_its_sample():
    def reward(completions, answer, **columns):
        return [1 / len(text) for text in completions]

    expected = r"reward mine raised ZeroDivisionError.*test_rewards_user.py, at sample 1: .*'y'"
    with pytest.raises(UserError, match=expected):
        guarded(reward, "mine")(["a", "", "b"], answer=["x", "y", "z"])


def test_an_exception_of_the_batch_alone_is_shown_with_the_first_sample():
    def reward(completions, **columns):
        raise KeyError("level") if len(completions) > 1 else RuntimeError

    with pytest.raises(UserError, match=r"KeyError: 'level'"):
        guarded(reward, "mine")(["a", "b"], answer=["x", "y"])


def test_nothing_is_logged_while_the_culprit_is_looked_for():
    logged = []

    def reward(completions, log_metric, **columns):
        log_metric("seen", len(completions))
        raise ValueError

    with pytest.raises(UserError):
        guarded(reward, "mine")(["a", "b"], log_metric=lambda *pair: logged.append(pair))
    assert logged == [("seen", 2)]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1.0], "1 rewards for 2 completions"),
        ([1.0, float("nan")], "returned nan, .*at sample 1: .*'b'"),
        ([1.0, float("inf")], "returned inf"),
        ([1.0, None], "returned None"),
        ([1.0, "good"], "returned 'good'"),
        ([1.0, "1.0"], "returned '1.0', which is no finite number"),
        ([1.0, 1e300], r"returned 1e\+300, which is no finite number"),
        ([1.0, 10**400], "returned an integer of 1329 bits"),
        ([1.0, 10**6000], "returned an integer of 19932 bits"),
        ([1.0, Unspeakable()], "returned a Unspeakable"),
        (1.0, "must return a list of numbers, got float"),
        ({0: 1.0, 1: 2.0}, "must return a list of numbers, got dict"),
        ({1.0, 2.0}, "must return a list of numbers, got set"),
        ({0: 1.0, 1: 2.0}.keys(), "must return a list of numbers, got dict_keys"),
        (b"ab", "must return a list of numbers, got bytes"),
        ("12", "must return a list of numbers, got str"),
        (itertools.repeat(1.0), "more than 2 rewards for 2 completions"),
        (torch.tensor(1.0), "must return a list of numbers, got Tensor"),
    ],
)
def test_a_bad_result_names_the_function(result, message):
    with pytest.raises(UserError, match=f"reward mine .*{message}"):
        guarded(lambda completions, **columns: result, "mine")(["a", "b"])


@pytest.mark.parametrize(
    "result",
    [
        (1.0, 2),
        (value for value in (1, 2.0)),
        {"a": 1.0, "b": 2.0}.values(),
        torch.tensor([1.0, 2.0], dtype=torch.float16),
        [np.float32(1), Fraction(2)],
        [True, 2],
    ],
)
def test_what_counts_as_a_list_of_numbers(result):
    assert guarded(lambda completions, **columns: result, "mine")(["a", "b"]) == [1.0, 2.0]


def test_values_that_come_late_count_against_the_limit():
    release = threading.Event()

    def reward(completions, **columns):
        yield 1.0
        release.wait(30)

    with pytest.raises(UserError, match=r"no result for 2 completions within 0\.2 s"):
        guarded(reward, "mine", seconds=0.2)(["a", "b"])
    release.set()


@pytest.mark.parametrize("what", [SystemExit(0), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_would_end_the_program_is_an_exception_like_any_other(what):
    def reward(completions, **columns):
        raise what

    with pytest.raises(UserError, match=f"reward mine raised {type(what).__name__}"):
        guarded(reward, "mine")(["a"])


def test_an_exception_while_values_are_read_is_shown_with_its_sample():
    with pytest.raises(UserError, match=r"raised ZeroDivisionError.*at sample 1: .*''"):
        guarded(lambda completions, **columns: (1 / len(text) for text in completions), "mine")(["a", ""])


def test_an_exception_whose_text_fails_is_named():
    class Sick(Exception):
        def __str__(self):
            raise RuntimeError

    def reward(completions, **columns):
        raise Sick

    with pytest.raises(UserError, match="reward mine raised Sick: "):
        guarded(reward, "mine")(["a"])


def test_an_error_is_one_line():
    def reward(completions, **columns):
        raise ValueError("first\nsecond" + "x" * 10_000)

    with pytest.raises(UserError, match="first second") as caught:
        guarded(reward, "mine")(["a"])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_reward_that_changes_its_arguments_changes_only_copies():
    def reward(completions, **columns):
        completions[0][0]["content"] = "changed"
        completions.pop()
        for values in columns.values():
            values.clear()
        return [1.0, 1.0]

    chats = [[{"role": "assistant", "content": text}] for text in "ab"]
    columns = {"answer": ["x", "y"], "completion_ids": [[1, 2], [3]], "choices": [["p"], None]}
    kept = copy.deepcopy((chats, columns))
    assert guarded(reward, "mine")(chats, **columns) == [1.0, 1.0]
    assert (chats, columns) == kept


def test_what_a_reward_prints_goes_to_the_log(tmp_path, capsys, caplog):
    (tmp_path / "loud.py").write_text(
        "print('imported')\ndef f(completions, **columns):\n"
        "    print('first', end=''); print(' line'); print('begun', end='')\n    return [1.0]\n"
    )
    assert load_reward(f"{tmp_path}/loud.py:f")(["a"]) == [1.0]
    assert capsys.readouterr().out == ""
    said = [record.getMessage().partition(" printed: ")[2] for record in caplog.records]
    assert said == ["imported", "first line", "begun"]


def test_a_reward_that_hangs_ends_with_an_error():
    release = threading.Event()

    def reward(completions, **columns):
        release.wait(30)
        return [1.0]

    started = time.monotonic()
    with pytest.raises(UserError, match=r"reward mine gave no result for 1 completions within 0\.2 s"):
        guarded(reward, "mine", seconds=0.2)(["a"])
    release.set()
    assert time.monotonic() - started < 30


def test_a_timeout_error_of_the_rewards_own_is_an_exception_like_any_other():
    def reward(completions, **columns):
        raise TimeoutError("the judge did not answer")

    with pytest.raises(UserError, match="TimeoutError: the judge did not answer"):
        guarded(reward, "mine")(["a"])


def test_asynchronous_rewards_run_on_one_loop_and_fail_like_others(tmp_path):
    path = tmp_path / "later.py"
    path.write_text(
        "import asyncio, sys\nloops = []\n"
        "async def length(completions, **columns):\n"
        "    loops.append(asyncio.get_running_loop())\n"
        "    await asyncio.sleep(0)\n"
        "    return [float(len(text)) for text in completions]\n"
        "async def leaving(completions, answer, **columns):\n"
        "    if 'b' in answer: sys.exit()\n"
        "    return [1.0] * len(completions)\n"
        "async def sleeping(completions, **columns):\n"
        "    await asyncio.sleep(30)\n"
    )
    length = load_reward(f"{path}:length")
    assert length(["a", "bcd"]) == [1.0, 3.0]
    assert length(["ab"]) == [2.0]
    with pytest.raises(UserError, match=r"leaving raised SystemExit.* at sample 1: .*'y'"):
        load_reward(f"{path}:leaving")(["x", "y"], answer=["a", "b"])
    with pytest.raises(UserError, match=r"sleeping gave no result for 1 completions within 0\.2 s"):
        load_reward(f"{path}:sleeping", seconds=0.2)(["a"])
    assert length(["abcd"]) == [4.0]
    loops = sys.modules["sightline_reward_later"].loops
    assert len(loops) == 3 and len(set(loops)) == 1  # the file ran once, and so did the loop start


def test_extras_of_rows_are_logged_with_them():
    def reward(completions, log_extra, **columns):
        log_extra("words", [len(text.split()) for text in completions])
        return [{"reward": 0.5, "overlap": np.float32(0.25), "note": "near"}, {"score": 1, "overlap": 0.75}]

    logged, measured = {}, {}
    found = guarded(reward, "mine")(
        ["a b", "c"], log_extra=logged.__setitem__, log_metric=measured.__setitem__
    )
    assert found == [0.5, 1.0]
    assert logged == {"words": [2, 1], "overlap": [0.25, 0.75], "note": ["near", None]}
    assert measured == {"reward/overlap": 0.5}
    assert guarded(reward, "mine")(["a b", "c"], log_extra=lambda *_: None) == [0.5, 1.0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"overlap": 1.0}], "returned {'overlap': 1.0}, which is no finite number"),
        ([{"reward": "x"}], "returned 'x'"),
    ],
)
def test_a_row_without_its_number_says_so(rows, message):
    with pytest.raises(UserError, match=message):
        guarded(lambda completions, **columns: rows, "mine")(["a"])


def test_extras_of_another_length_are_an_error():
    def reward(completions, log_extra, **columns):
        log_extra("overlap", [1.0])
        return [1.0] * len(completions)

    with pytest.raises(UserError, match=r"log_extra\('overlap'\) has 1 values for 2 completions"):
        guarded(reward, "mine")(["a", "b"], log_extra=lambda *_: None)
