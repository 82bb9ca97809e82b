"""A reward of the user's own: found, limited, and its mistakes reported with the sample."""

import threading
import time

import pytest

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
        ("{file}:later", "plain function"),
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
        (1.0, "must return a list of numbers, got float"),
    ],
)
def test_a_bad_result_names_the_function(result, message):
    with pytest.raises(UserError, match=f"reward mine .*{message}"):
        guarded(lambda completions, **columns: result, "mine")(["a", "b"])


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
