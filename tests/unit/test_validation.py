"""Held-out problems amid training: shared by ranks, without a trace in any generator, with intervals."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from sightline.engines.ranks import Ranks
from sightline.engines.validation import check_metric, validated
from sightline.errors import UserError
from sightline.evaluation.run.run_rewards import RunRewards, mean_reward
from sightline.evaluation.validation import HeldOut, Score
from sightline.tasks import ShapesTask


class Counting:
    """A validation that draws from every generator, and scores a problem by its place."""

    names = ("accuracy",)

    def __len__(self) -> int:
        return 5

    def scores(self, loaded: Any, places: Sequence[int], step: int, steps: int) -> list[Any]:
        assert random.random() < 1 and np.random.rand() < 1 and torch.rand(1) < 1
        return [place * 10 for place in places]

    def metrics(self, scores: Sequence[Any]) -> dict[str, float]:
        return {"accuracy": float(sum(scores)), "order": float(scores == sorted(scores))}


class Second(Ranks):
    """Rank 1 of 2, whose partner answered the even places."""

    index, count = 1, 2

    def gather_items(self, items: list[Any]) -> list[Any]:
        return [(0, 0), (2, 20), (4, 40), *items]


@pytest.mark.parametrize(("ranks", "together"), [(Ranks(), False), (Second(), False), (Second(), True)])
def test_ranks_share_the_problems_and_no_generator_moves(ranks: Ranks, together: bool) -> None:
    states = random.getstate(), str(np.random.get_state()), torch.get_rng_state()
    found = validated(Counting(), None, ranks, together=together, step=1, steps=2)  # pyright: ignore[reportArgumentType]
    assert found == {"eval_accuracy": 100.0, "eval_order": 1.0}
    assert random.getstate() == states[0]
    assert str(np.random.get_state()) == states[1] and torch.equal(torch.get_rng_state(), states[2])


def test_a_metric_that_is_not_measured_is_named_with_those_that_are() -> None:
    check_metric("eval_accuracy", Counting())
    check_metric(None, Counting())
    with pytest.raises(UserError, match=r"metric_for_best_model.*loss.*accuracy"):
        check_metric("loss", Counting())


def held_out(weights: dict[str, float], graded: bool = True) -> HeldOut:
    task = ShapesTask()
    return HeldOut(task, task.test(4, 0), RunRewards(weights), 0, 8, graded)


def test_means_with_their_intervals() -> None:
    plain = held_out({"accuracy": 1.0})
    assert plain.names == ["accuracy", "reward"]
    scores = [Score(True, {"reward": 1.0}), Score(False, {"reward": 0.0}), Score(None, {"reward": None})]
    found = plain.metrics(scores)
    assert set(found) == {f"{name}{end}" for name in ("accuracy", "reward") for end in ("", "/low", "/high")}
    assert found["accuracy"] == found["reward"] == 0.5
    assert found["accuracy/low"] == pytest.approx(0.0945, abs=1e-4)  # Wilson, 1 of 2

    both = held_out({"accuracy": 0.5, "format": 0.5}, graded=False)
    assert both.names == ["reward", "rewards/format/mean"]
    found = both.metrics([Score(None, {"reward": r, "format": f}) for r, f in ((0.5, 1.0), (1.5, 0.0))])
    assert "accuracy" not in found and found["rewards/format/mean"] == 0.5
    assert found["reward"] == 1.0 and found["reward/high"] == pytest.approx(
        1 + 12.706 * 0.5, abs=1e-2
    )  # t, 1 df


def test_rewards_that_are_missing_count_for_nothing() -> None:
    assert mean_reward([None, 0.5, 0.5]).value == 0.5 and mean_reward([None, 0.5, 0.5]).n == 2
    assert mean_reward([1.0, 0.0, None]).low > 0  # Wilson's for rewards of 0 and 1
