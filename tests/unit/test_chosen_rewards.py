"""The rewards of a run: a name of its own for each, and batches that hold both sides of a pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.engines.reward_settings import reward_weights
from sightline.engines.trl.settings.resolve import parse
from sightline.engines.trl.settings.rewards import reward_functions, rewards_of
from sightline.errors import UserError
from sightline.evaluation.run.run_rewards import TOTAL, RunRewards
from sightline.evaluation.validation import HeldOut, Score
from sightline.models.generation.generate import Answer
from sightline.objectives import Objective
from sightline.rewards import accuracy_reward, mixed
from sightline.rewards.chosen import chosen_rewards
from sightline.rewards.functions import is_of_one_batch, undecided_columns
from sightline.tasks import ShapesTask

OWN = "def {name}(completions, **_):\n    return [1.0 for _ in completions]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """`a.py` and `b.py`, each with the same functions; the folder they are in."""
    names = ("score", "other", "accuracy", "reward")
    for stem in ("a", "b"):
        (tmp_path / f"{stem}.py").write_text("\n".join(OWN.format(name=name) for name in names))
    return tmp_path


def own(completions: list[Any], **_: Any) -> list[float]:
    return [0.0 for _ in completions]


def called(name: str) -> Any:
    def function(completions: list[Any], **_: Any) -> list[float]:
        return [0.0 for _ in completions]

    function.__name__ = name
    return function


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.py:score", "b.py:score"], r"a.py:score and .*b.py:score would both be logged as score"),
        (["a.py:accuracy"], r"a.py:accuracy would be logged as accuracy, which is the name of a built-in"),
        (["accuracy", "b.py:accuracy"], r"the name of a built-in reward; give the function another name"),
        (["accuracy", "a.py:reward"], r"a.py:reward would be logged as reward, as the weighted sum"),
    ],
)
def test_names_that_would_be_mixed_are_refused_for_training_and_for_held_out_problems(
    file: Path, names: list[str], said: str
) -> None:
    weights = {f"{file}/{name}" if ":" in name else name: 1.0 for name in names}
    for made in (chosen_rewards, RunRewards, lambda w: reward_functions(w, Objective(), 100)):
        with pytest.raises(UserError, match=said):
            made(weights)


def test_the_same_holds_for_functions_from_python(file: Path) -> None:
    with pytest.raises(UserError, match="accuracy would be logged as accuracy, which is the name of a built"):
        chosen_rewards({"accuracy": 1.0}, {"accuracy": called("accuracy")})
    with pytest.raises(UserError, match=r"a.py:score and score would both be logged as score"):
        chosen_rewards({f"{file}/a.py:score": 1.0, "score": 1.0}, {"score": called("score")})
    with pytest.raises(UserError, match="rewards names format twice"):
        reward_weights("format, accuracy, format")


def test_names_of_their_own_are_taken(file: Path) -> None:
    weights = {"accuracy": 1.0, f"{file}/a.py:score": 1.0, f"{file}/b.py:other": 1.0, "own": 1.0}
    found = chosen_rewards(weights, {"own": own})
    assert [one.__name__ for one in found] == ["accuracy", "score", "other", "own"]
    assert [one.__name__ for one in chosen_rewards({"mathruler": 1.0})] == ["accuracy"]
    both = chosen_rewards({"mathruler": 1.0, "accuracy": 0.0})
    assert [one.__name__ for one in both] == ["mathruler", "accuracy"], "each is logged apart"
    alone = RunRewards({f"{file}/a.py:reward": 1.0})
    assert (alone.names, alone.alone) == (["reward"], False), "it is shown, as it is the sum"


def test_a_built_in_given_from_python_stays_one() -> None:
    (accuracy,) = chosen_rewards({"accuracy": 1.0}, {"accuracy": accuracy_reward()})
    assert accuracy(["\\boxed{3}"], answer=["3"]) == [1.0]
    assert undecided_columns([accuracy]) == [0]


PAIRS = ["--model", "embedded", "--use_cpu", "--bf16", "false", "--task", "shapes:pairs", "--num_generations",
         "4", "--method", "dapo", "--per_device_train_batch_size", "16"]  # fmt: skip
KEPT = ["--shuffle_dataset", "false", "--max_rounds", "1"]


@pytest.mark.parametrize("rewards", ["pair", "{accuracy: 0.5, pair: 0.5}"])
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "pair needs both sides .*shuffle_dataset: true"),
        (["--shuffle_dataset", "false"], r"max_rounds: 4 .*set max_rounds: 1"),
        ([*KEPT, "--per_device_train_batch_size", "12"], r"an even number of prompts, but it has 3 .*of 8"),
        (KEPT, None),
        (["--shuffle_dataset", "false", "--method", "grpo"], None),  # which replaces no groups
        ([*KEPT, "--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "2"], None),
    ],
)
def test_batches_that_part_pairs_are_refused(rewards: str, more: list[str], said: str | None) -> None:
    settings = parse([*PAIRS, "--rewards", rewards, *more])
    if said is None:
        assert "pair" in [one.__name__ for one in rewards_of(settings)[0]]
        return
    with pytest.raises(UserError, match=said):
        rewards_of(settings)


def test_held_out_problems_are_measured_without_a_reward_of_one_batch() -> None:
    task = ShapesTask()
    problems = task.test(2, 0)
    answers: Any = [Answer([1], [2], f"\\boxed{{{one.answer}}}", False) for one in problems]
    some, none = RunRewards({"accuracy": 0.5, "pair": 0.5}), RunRewards({"pair": 1.0})
    assert some.of(task, problems, answers).values == {"accuracy": [1.0, 1.0]}
    assert none.of(task, problems, answers).values == {}
    assert (some.left_out, some.more_than_accuracy, none.more_than_accuracy) == (["pair"], False, False)
    assert "without the reward pair" in str(some.describe_left_out())
    plain = RunRewards({"accuracy": 0.5, "format": 0.5})
    assert plain.describe_left_out() is None and TOTAL in plain.of(task, problems, answers).values
    held_out = HeldOut(task, problems, none, 0, 8)
    assert held_out.names == ["accuracy"]
    assert held_out.metrics([Score(True, {}), Score(True, {})])["accuracy"] == 1.0
    assert is_of_one_batch(mixed({"accuracy": 0.5, "pair": 0.5}))
    assert not is_of_one_batch(mixed({"accuracy": 0.5, "format": 0.5}))
