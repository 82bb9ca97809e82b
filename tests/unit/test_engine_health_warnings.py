"""What an ill run is told, once."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from sightline.engines.health_warnings import HealthWarnings


def symptoms(**changed: Any) -> HealthWarnings:
    usual: dict[str, Any] = {
        "warn_zero_rewards": 3,
        "warn_entropy": 0.1,
        "warn_drift": 0.05,
        "warn_blind": 1e-3,
        "generation_batch_size": 8,
    }
    settings: Any = SimpleNamespace(**usual | changed)
    return HealthWarnings(settings)


def said(watch: HealthWarnings, rows: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(step, line) for step, row in enumerate(rows) for line in watch.of(row)]


def test_a_healthy_run_is_told_nothing() -> None:
    rows = [
        {
            "reward": 0.2,
            "reward_std": 0.4,
            "entropy": 0.2 - 0.001 * step,
            "sampling/drift": 0.01,
            "image/log_prob_change": 0.3,
            "rollouts/without_image": 2.0,
        }
        for step in range(100)
    ]
    assert said(symptoms(), rows) == []


def test_no_reward_at_all() -> None:
    none = {"reward": 0.0, "reward_std": 0.0, "completions/clipped_ratio": 0.75, "no_box": 0.5}
    rows = [none, none, {"reward": 0.1, "reward_std": 0.3}, none, {"loss": 1.0}, none, none, none, none]
    ((step, line),) = said(symptoms(), rows)
    assert step == 6
    assert "last 3 batches" in line and "75% of the responses are cut off" in line and "50% hold no" in line
    assert said(symptoms(warn_zero_rewards=0), [none] * 50) == []


def test_rewards_that_average_to_zero_are_rewards() -> None:
    assert said(symptoms(), [{"reward": 0.0, "reward_std": 0.5}] * 20) == []


def test_a_gradient_that_is_exactly_zero() -> None:
    equal = {"grad_norm": 0.0, "reward": 0.5, "reward_std": 0.0, "frac_reward_zero_std": 1.0}
    rows = [equal] * 3 + [{"grad_norm": 1e-30}] + [equal] * 4 + [{"loss": None}] + [equal]
    ((step, line),) = said(symptoms(warn_zero_gradient=5), rows)
    assert step == 9 and "exactly 0" in line and "same reward" in line
    cut = {"grad_norm": 0.0, "completions/clipped_ratio": 1.0, "reward_std": 0.2, "learning_rate": 0.0}
    ((_, line),) = said(symptoms(warn_zero_gradient=2), [cut] * 12)
    assert "every response is cut off" in line and "learning rate is 0" in line
    assert said(symptoms(warn_zero_gradient=0), [equal] * 12) == []


def test_answers_that_could_not_be_judged() -> None:
    ((step, line),) = said(symptoms(), [{"undecided": 0.01}, {"undecided": 0.02}, {"undecided": 0.5}])
    assert step == 1 and "2.0%" in line


def test_entropy_that_collapses() -> None:
    rows = [{"entropy": 0.3}] * 10 + [{"entropy": 0.01}] * 10
    ((step, line),) = said(symptoms(), rows)
    assert step == 14 and "0.01 nats, from 0.3" in line
    assert said(symptoms(warn_entropy=0.0), rows) == []


def test_one_step_of_low_entropy_is_no_collapse() -> None:
    assert said(symptoms(), [{"entropy": 0.3}] * 10 + [{"entropy": 0.0}] + [{"entropy": 0.3}] * 10) == []


def test_sampler_and_trainer_apart() -> None:
    rows = [{"sampling/drift": 0.2}] * 6
    ((step, line),) = said(symptoms(), rows)
    assert step == 4 and "0.2 nats apart" in line
    assert said(symptoms(warn_drift=0.0), rows) == []


def test_what_the_drift_is_made_of() -> None:
    """Top-p and bans raise the sampler's log-probs, and are named before anybody looks at dtypes."""
    row = {"sampling/drift": 0.2, "sampling/drift_one_way": 0.15, "sampling/placeholder_mass": 0.0488}
    ((_, line),) = said(symptoms(top_p=0.9, top_k=0, generation_kwargs={"min_tokens": 3}), [row] * 5)
    assert "0.1 of it come from top_p 0.9, generation_kwargs.min_tokens" in line
    assert "0.05 of it come from multimodal placeholders" in line  # -log(1 - 0.0488)
    ((_, line),) = said(symptoms(top_p=1.0, min_p=None, repetition_penalty=1.0), [row] * 5)
    assert "come from multimodal placeholders" in line and "top_p" not in line
    ((_, line),) = said(symptoms(top_p=0.9), [{"sampling/drift": 0.2, "sampling/drift_one_way": -0.1}] * 5)
    assert "come from" not in line and "compare dtypes" in line


def test_training_blind() -> None:
    rows = [{"loss": 1.0}, {"image/log_prob_change": 2e-4}, {"image/log_prob_change": 1e-4}]
    ((step, line),) = said(symptoms(), rows)
    assert step == 1 and "without looking" in line
    assert said(symptoms(warn_blind=0.0), rows) == []


def test_no_image_anywhere() -> None:
    assert len(said(symptoms(), [{"rollouts/without_image": 8.0}] * 2)) == 1


@pytest.mark.parametrize("cut", [1, 3, 7, 12])
def test_a_resumed_run_goes_on_counting(cut: int) -> None:
    rows = [{"entropy": 0.3, "reward": 0.0, "reward_std": 0.0, "sampling/drift": 0.06}] * 8
    rows += [{"entropy": 0.01}] * 8
    whole, first, second = symptoms(), symptoms(), symptoms()
    expected = said(whole, rows)
    before = said(first, rows[:cut])
    second.restore(json.loads(json.dumps(first.state())))
    after = [(step + cut, line) for step, line in said(second, rows[cut:])]
    assert before + after == expected and len(expected) == 3
