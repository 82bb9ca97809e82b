"""Rollouts of which a part is sampled from a noised image, and methods that read more than scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from short_runs import metrics, run, settings, weights

from sightline.engines.trl.trainer import noised_rollouts, trainer
from sightline.engines.trl.trainer.noised_rollouts import clean_places, is_noised, sampled_images
from sightline.errors import UserError
from sightline.methods import method
from sightline.tasks import ShapesTask
from sightline.views import Diffusion

SHORT = ("--max_steps", "4", "--save_strategy", "no")
HALF = {"view": {"name": "diffusion", "step": 900}, "share": 0.5}


def flags(name: str, **options: Any) -> tuple[str, ...]:
    return ("--method", name, "--method_options", json.dumps(options), *SHORT)


def test_the_last_rows_of_a_group_are_noised_also_over_two_ranks() -> None:
    assert is_noised(2, 0, 8, 4) == [False, False, True, True] * 2
    assert is_noised(2, 0, 6, 4) + is_noised(2, 6, 6, 4) == [False, False, True, True] * 3
    assert is_noised(0, 0, 4, 4) == [False] * 4


def test_scoring_goes_on_from_the_clean_prompt_of_a_group() -> None:
    noised = [False, False, True, True, True, True]
    places = clean_places(0, 3, [0, 0, 1, 1, 3, 3], 4, noised)
    assert places == [(0, 3, 0)] * 4 + [None, None]


def test_a_noised_image_is_drawn_once_a_prompt_and_from_the_seed() -> None:
    problem = ShapesTask().train(1, 0)[0]
    images = [list(problem.images), list(problem.images), None, list(problem.images)]
    view = Diffusion(step=900)
    drawn = [
        sampled_images(view, images, [False, True, True, True], None, seed=1, step=step) for step in (0, 0, 1)
    ]
    for found in drawn:
        assert found[0] is images[0] and found[2] is None
        assert found[1] is found[3]
        assert found[1][0].tobytes() != images[0][0].tobytes()
    assert drawn[0][1][0].tobytes() == drawn[1][1][0].tobytes()
    assert drawn[0][1][0].tobytes() != drawn[2][1][0].tobytes()


def test_a_share_of_zero_is_none_to_the_bit(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain", *flags("vgpo"))
    zero = run(tmp_path / "zero", *flags("vgpo", rollouts={**HALF, "share": 0.0}))
    assert metrics(tmp_path / "plain") == metrics(tmp_path / "zero")
    found, wanted = weights(zero), weights(plain)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("objective", ["grpo", "dapo"])
def test_every_log_prob_is_of_the_clean_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    """Sampling sees noise in half of the rows; what is scored and trained on never does."""
    sampled, scored = [], []
    original, score = noised_rollouts.sampled_images, trainer.score

    def recorded(view: Any, images: Any, noised: Any, *args: Any, **named: Any) -> Any:
        found = original(view, images, noised, *args, **named)
        sampled.append((noised, images, found))
        return found

    def clean(model: Any, processor: Any, rollouts: Any, *args: Any, **named: Any) -> Any:
        found = score(model, processor, rollouts, *args, **named)
        again = score(model, processor, rollouts, *args, **{**named, "prefilled": None})
        scored.append((named["prefilled"] is not None, found.log_probs, again.log_probs))
        return found

    monkeypatch.setattr(noised_rollouts, "sampled_images", recorded)
    monkeypatch.setattr(trainer, "score", clean)
    run(tmp_path / "run", *flags("vgpo", objective=objective, rollouts=HALF))
    assert sampled and scored
    for noised, images, found in sampled:
        assert noised == [False, False, True, True] * (len(noised) // 4)
        for changed, before, after in zip(noised, images, found, strict=True):
            assert (after[0].tobytes() != before[0].tobytes()) == changed
    for _, found, again in scored:
        torch.testing.assert_close(found, again, atol=1e-4, rtol=1e-4)
    assert any(prefilled for prefilled, _, _ in scored), "clean prompts are not run again"
    lines = metrics(tmp_path / "run")
    assert all(line["rollouts/noise_step"] == 900 for line in lines if "rollouts/noise_step" in line)
    assert any("rollouts/clean_accuracy" in line and "rollouts/noised_accuracy" in line for line in lines)


def test_noise_falls_over_the_training(tmp_path: Path) -> None:
    run(tmp_path, *flags("noisyrollout"))
    steps = [line["rollouts/noise_step"] for line in metrics(tmp_path) if "rollouts/noise_step" in line]
    wanted = method("noisyrollout").rollouts
    assert wanted is not None
    assert steps == [wanted.at(1.0).step], "one rollout batch feeds all four steps"


def test_what_cannot_sample_so_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noised_rollouts, "samples_itself", lambda trainer: False)
    with pytest.raises(UserError, match="rollouts from another view need vLLM"):
        run(tmp_path / "a", *flags("noisyrollout"))
    with pytest.raises(UserError, match=r"share 0\.1 of 4 rollouts is none"):
        run(tmp_path / "b", *flags("noisyrollout", rollouts={"share": 0.1}))


@pytest.mark.parametrize("name", ["pepo", "vepo", "tor", "dupl", "dvrp", "cfpo"])
def test_methods_train(name: str, tmp_path: Path) -> None:
    chosen = settings(tmp_path / "run", *flags(name))
    run(tmp_path / "run", *flags(name))
    lines = metrics(tmp_path / "run")
    assert len(lines) == 4
    assert all(line["grad_norm"] == line["grad_norm"] for line in lines)
    logged = set().union(*lines)
    for term in chosen.method.terms:
        assert f"terms/{term.name}" + (f"/{term.view}" if term.view else "") in logged
    for step in chosen.method.shapings:
        assert not step.rule.statistics or any(
            key.startswith(step.rule.metrics or step.name) for key in logged
        )


def test_pepo_s_first_step_is_grpo_s(tmp_path: Path) -> None:
    objective = {"name": "grpo", "reference_kl": 0.0}
    for name in ("grpo", "pepo"):
        run(tmp_path / name, *flags(name, objective=objective))
    plain, ramped = metrics(tmp_path / "grpo"), metrics(tmp_path / "pepo")
    assert ramped[0]["weights/max"] == 1
    assert ramped[0]["grad_norm"] == pytest.approx(plain[0]["grad_norm"], rel=1e-5)
