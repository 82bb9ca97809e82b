"""Rows that no reward judges, a frozen vision tower, the look for blindness, a step that is not finite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_forward import CHECKPOINT, Plain
from runs import SETTINGS, Run, train
from safetensors.torch import load_file

from sightline.engines.freezing import freeze_vision
from sightline.methods import method as make_method
from sightline.objectives import group_advantages

FOCUS = "sightline_visual_focus"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("incidents") / "run"
    hooks = {"SIGHTLINE_NAN_STEP": "2", "SIGHTLINE_UNDECIDED": "1"}
    held_out = ["--", "trainer.test_freq=1"]
    wanted = {"method": "vgpo", "freeze_vision": "true", "blind_every": 2, "eval_problems": 8}
    found = train(folder, *held_out, hooks=hooks, **wanted)
    assert found.code == 0, found.said
    return found


def test_rows_without_a_verdict_train_as_if_they_had_never_been_sampled(run: Run) -> None:
    rows, row = run.step(1), run.metrics[0]
    plain = Plain(rows, make_method("vgpo"), seed=0, step=0, limit=int(SETTINGS["limit"]))
    decode = plain.processor.tokenizer.decode
    odd = [len(decode(ids, skip_special_tokens=True)) % 2 == 1 for ids in rows["responses"]]
    assert 0 < sum(odd) < len(odd)
    assert row["incidents/rows_left_out"] == sum(odd)
    assert [not bool(mask.any()) for mask in rows["response_mask"]] == odd
    freeze_vision(plain.model)
    loss, norm, _ = plain.loss_and_gradient()
    assert row["loss"] == pytest.approx(loss, abs=1e-5)
    assert row["grad_norm"] == pytest.approx(norm, rel=1e-5, abs=1e-5) and norm > 0.01
    judged = [float(score.sum()) for score, left in zip(rows["rm_scores"], odd, strict=True) if not left]
    assert row["reward"] == row["accuracy"] == pytest.approx(sum(judged) / len(judged))
    assert row["undecided"] == pytest.approx(sum(odd) / len(odd))
    assert "could not be judged and are left out of their batch" in run.said


def test_scores_and_weights_are_those_of_plain_forwards(run: Run) -> None:
    rows, method = run.step(1), make_method("vgpo")
    plain = Plain(rows, method, seed=0, step=0, limit=int(SETTINGS["limit"]))
    sampled = torch.nn.utils.rnn.pad_sequence([torch.ones(len(ids)) for ids in rows["responses"]], True)
    expected, kept = plain.scores(), plain.mask
    for found, name in (("old_log_probs", "log_probs"), ("entropy", "entropy"), (FOCUS, "visual_focus")):
        assert float(((plain.padded(found) - expected[name]).abs() * sampled).max()) < 1e-5, name
    weights = method.weights({"visual_focus": plain.padded(FOCUS)}, kept, plain.groups)
    judged, advantages = kept.bool().any(1), torch.zeros(len(rows["uid"]))
    rewards = plain.padded("rm_scores").sum(1)
    scaled = method.objective.scale_advantages == "group"
    advantages[judged] = group_advantages(rewards[judged], plain.groups[judged], scale=scaled)
    weighted = advantages[:, None] * weights * kept
    assert float(weighted.abs().max()) > 0.1
    assert float(((plain.padded("advantages") - weighted).abs() * kept).max()) < 1e-5


def test_the_vision_tower_stays_as_it_was_and_the_rest_does_not(run: Run) -> None:
    before, after = (
        load_file(Path(CHECKPOINT) / "model.safetensors"),
        load_file(run.folder / "model/model.safetensors"),
    )
    changed = {
        name: not torch.equal(before[name].float(), after[name].float()) for name in before if name in after
    }
    assert not any(moved for name, moved in changed.items() if "visual" in name)
    assert any(moved for name, moved in changed.items() if "visual" not in name)


def test_the_image_is_taken_away_every_so_often(run: Run) -> None:
    assert run.metrics[0]["image/log_prob_change"] > 1e-3
    assert "image/log_prob_change" not in run.metrics[1]


def test_held_out_problems_are_measured_by_verl_under_our_names(run: Run) -> None:
    for row in run.metrics:
        assert 0 <= row["eval_reward"] <= 1
        assert row["eval_reward"] * 8 == pytest.approx(round(row["eval_reward"] * 8))


def test_a_step_that_is_not_finite_is_skipped_counted_and_stored(run: Run) -> None:
    assert [row["incidents/skipped_steps"] for row in run.metrics] == [0, 1]
    folder = run.folder / "incidents" / "step-2"
    assert f"step 2 is skipped: gradient not finite (1 in a row); {folder}" in run.said
    told: dict[str, Any] = json.loads((folder / "incident-0.json").read_text())
    stored = load_file(folder / "batch-0.safetensors")
    assert told["step"] == 2 and any("not finite" in line for line in told["scores"])
    assert len(told["responses"]) == len(stored["responses"]) == 32
    assert stored["advantages"].isnan().any() and stored[FOCUS].shape == stored["advantages"].shape
    assert "Skipped" in (run.folder / "report.html").read_text()
