"""LoRA: adapters are trained, and merged for the sampler and for `model/`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from plain_forward import CHECKPOINT, Plain
from runs import SETTINGS, Run, train
from safetensors.torch import load_file

from sightline.methods import method as make_method

LIMIT = int(SETTINGS["limit"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    adapters = {"use_peft": "true", "lora_r": 4, "lora_target_modules": "all-linear", "learning_rate": 3e-3}
    folder = tmp_path_factory.mktemp("adapters") / "run"
    # The second step is skipped, so that model/ holds the weights that sampled its rollouts.
    found = train(folder, hooks={"SIGHTLINE_NAN_STEP": "2"}, method="vgpo", **adapters)
    assert found.code == 0, found.said
    return found


def test_scores_before_the_first_step_are_those_of_the_plain_model(run: Run) -> None:
    plain = Plain(run.step(1), make_method("vgpo"), seed=0, step=0, limit=LIMIT)
    expected = plain.scores()
    for name, found in (("log_probs", "old_log_probs"), ("visual_focus", "sightline_visual_focus")):
        assert float(((plain.padded(found) - expected[name]).abs() * plain.mask).max()) < 1e-5, name


def test_the_sampler_and_the_trained_model_have_the_adapters_merged(run: Run) -> None:
    rows = run.step(2)
    plain = Plain(rows, make_method("vgpo"), seed=0, step=1, limit=LIMIT, weights=str(run.folder / "model"))
    expected = plain.scores()["log_probs"]
    assert float(((plain.padded("old_log_probs") - expected).abs() * plain.mask).max()) < 1e-4
    apart = (plain.padded("rollout_log_probs") - expected).abs()[plain.mask.bool()]
    assert float(apart.median()) < 1e-4, "the sampler lags behind the trainer"
    before = Plain(rows, make_method("vgpo"), seed=0, step=1, limit=LIMIT).scores()["log_probs"]
    assert float(((before - expected).abs() * plain.mask).max()) > 1e-3, "the step moved nothing"


def test_only_what_has_adapters_is_changed(run: Run) -> None:
    before, after = (load_file(Path(at) / "model.safetensors") for at in (CHECKPOINT, run.folder / "model"))
    shared = before.keys() & after.keys()
    moved = {name for name in shared if not torch.equal(before[name].float(), after[name].float())}
    assert moved and not any("norm" in name or "embed" in name for name in moved)
