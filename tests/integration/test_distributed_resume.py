"""Two processes that were stopped go on together with the numbers of two that were not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import several_ranks
import short_runs
import torch
from safetensors.torch import load_file

from sightline.engines.checkpoints import checkpoints, fault

pytestmark = pytest.mark.slow

TRAIN = """
import os, sys
from rank_worker import shard_without_gpus
if os.environ.get("ACCELERATE_USE_FSDP"):
    shard_without_gpus()
from sightline.cli import main
code = main(["train", *sys.argv[1:]])
sys.stderr.flush()
os._exit(code)  # threads of gloo may outlive the interpreter, which then aborts
"""
SHORT = ("--per_device_train_batch_size", "2", "--max_steps", "6")
"""Rollout batches for steps 1 to 4 and 5 to 6: a checkpoint of step 3 holds rollouts of both ranks."""


def command(folder: Path, *more: str) -> list[str]:
    """`sightline train` as one rank runs it."""
    return ["-c", TRAIN, *short_runs.flags(folder, *SHORT, *more)]


def train(folder: Path, sharding: dict[str, str] | None, *more: str) -> None:
    results = several_ranks.run(command(folder, *more), 2, sharding)
    assert [code for code, _ in results] == [0, 0], results[0][1][-3000:] + results[1][1][-3000:]


def assert_same(folder: Path, whole: Path) -> None:
    """Every logged number and every trained weight, to the last digit."""
    assert short_runs.metrics(folder) == short_runs.metrics(whole)
    found, wanted = (load_file(one / "model" / "model.safetensors") for one in (folder, whole))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_signal_to_one_rank_stops_both_and_they_go_on(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(whole, None, "--save_strategy", "no")
    processes = several_ranks.start(command(cut, "--save_strategy", "no"), 2)
    try:
        while not (cut / "metrics.jsonl").exists():
            assert all(one.poll() is None for one in processes), "a rank ended by itself"
            time.sleep(0.01)
        os.kill(processes[1].pid, signal.SIGTERM)
        errors = [one.communicate(timeout=240)[1] for one in processes]
    finally:
        for one in processes:
            one.kill()
    assert [one.returncode for one in processes] == [143, 143], errors[0][-3000:] + errors[1][-3000:]
    (saved,) = checkpoints(cut)
    assert fault(saved) is None and saved.name != "checkpoint-6"
    assert f"saved {saved}" in errors[0] and "continue with: sightline train" in errors[0]
    assert "continue with" not in errors[1]
    train(cut, None, "--save_strategy", "no", "--resume")
    assert_same(cut, whole)


@pytest.mark.parametrize("kind", ["SHARDED_STATE_DICT", "FULL_STATE_DICT"])
def test_sharded_parameters_are_resumed(kind: str, tmp_path: Path) -> None:
    """Those of the policy, and of a reference that follows it."""
    sharding = {**several_ranks.FSDP2, "FSDP_STATE_DICT_TYPE": kind}
    flags = ("--save_steps", "3", "--beta", "0.1", "--sync_ref_model", "--ref_model_sync_steps", "2")
    train(tmp_path / "whole", sharding, *flags)
    if kind == "SHARDED_STATE_DICT":
        model = tmp_path / "whole" / "checkpoint-3" / "pytorch_model_fsdp_0"
        halves = [(model / f"__{rank}_0.distcp").stat().st_size for rank in (0, 1)]
        assert 0.4 < halves[0] / sum(halves) < 0.6, "parameters were not sharded"
    cut = short_runs.restart(tmp_path / "whole", 3, tmp_path / "cut")
    train(cut, sharding, *flags, "--resume")
    assert_same(cut, tmp_path / "whole")
