"""The labs in recipes/lab: every arm can be built, and they say what they say they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.laboratory.study.lab_yaml import read_plan

LABS = sorted((Path(__file__).parents[2] / "recipes" / "lab").glob("*.yaml"))


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_every_lab_is_a_plan(path: Path) -> None:
    plan = read_plan(str(path))
    assert plan.train["max_steps"] >= 1
    assert plan.baseline in [arm.name for arm in plan.arms]
    budgets = [arm.settings for arm in plan.arms]
    assert not any(
        {"max_steps", "per_device_train_batch_size", "num_generations"} & set(one) for one in budgets
    )


def test_the_main_study_has_the_seeds_and_methods_it_needs() -> None:
    plan = read_plan(str(next(path for path in LABS if path.stem == "main")))
    assert plan.seeds >= 8
    assert {arm.name for arm in plan.arms} == {"dapo", "grpo", "papo", "vppo", "pgpo", "vgpo"}
    assert plan.primary is not None


def test_every_method_is_tuned_alike_on_the_development_split() -> None:
    plan = read_plan(str(next(path for path in LABS if path.stem == "rates")))
    rates: dict[str, list[float]] = {}
    for arm in plan.arms:
        rates.setdefault(arm.settings["method"], []).append(arm.settings["learning_rate"])
    assert len(rates) == 6
    assert {tuple(sorted(tried)) for tried in rates.values()} == {(1e-5, 3e-5, 6e-5)}
    assert plan.evaluate.split == "dev"
