"""A run that is stopped goes on as if it had not been; groups that teach nothing make room."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from runs import press_ctrl_c, train
from safetensors.torch import load_file

KEPT = {"save_strategy": "steps", "save_steps": 2, "max_steps": 10, "method": "vppo"}


def test_ctrl_c_saves_and_resume_ends_where_a_run_without_it_ends(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", **KEPT)
    assert whole.code == 0, whole.said
    cut = train(tmp_path / "cut", then=press_ctrl_c, **KEPT)
    assert cut.code == 130, cut.said
    assert "continue with: sightline train" in cut.said and "--resume" in cut.said
    done = len(cut.metrics)
    assert 1 <= done < 10 and (cut.folder / f"checkpoint-{done}" / "manifest.json").is_file()
    assert not (cut.folder / "model").exists()
    resumed = train(tmp_path / "cut", "--resume", **KEPT)
    assert resumed.code == 0, resumed.said
    assert [row["step"] for row in resumed.metrics] == list(range(1, 11))
    for row, expected in zip(resumed.metrics, whole.metrics, strict=True):
        for name in ("loss", "grad_norm", "accuracy", "scores/exact_kl/mean"):
            assert row[name] == pytest.approx(expected[name], abs=1e-6), (row["step"], name)
    one, other = (load_file(run.folder / "model/model.safetensors") for run in (whole, resumed))
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-6
    assert any(torch.any(value != 0) for value in one.values())


def test_uninformative_groups_make_room_within_the_rounds(tmp_path: Path) -> None:
    run = train(tmp_path / "run", method="dapo", max_rounds=3)
    assert run.code == 0, run.said
    for number, row in enumerate(run.metrics, start=1):
        step = run.step(number)
        means: dict[str, list[float]] = {}
        for uid, rewards in zip(step["uid"], step["rm_scores"], strict=True):
            means.setdefault(uid, []).append(float(rewards.sum()))
        dull = sum(len(set(values)) == 1 for values in means.values())
        assert len(means) == 8
        assert dull == row["groups/uninformative_kept"] or (row["groups/rounds"] < 3 and dull == 0)
        assert row["groups/sampled"] >= 8 and 0 < row["groups/informative_share"] <= 1
    assert any(row["groups/sampled"] > 8 for row in run.metrics), "nothing was ever replaced"
