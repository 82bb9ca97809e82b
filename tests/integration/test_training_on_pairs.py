"""`rewards: pair` from the first measurement to the last, on a drawn world's minimal pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.cli import main


def test_a_run_rewards_pairs_and_measures_its_held_out_problems_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert main([
        *("train", "--model", "embedded", "--task", "shapes:pairs", "--rewards", "pair", "--method", "dapo"),
        *("--shuffle_dataset", "false", "--max_rounds", "1", "--use_cpu", "--bf16", "false"),
        *("--num_generations", "2", "--per_device_train_batch_size", "8", "--max_completion_length", "24"),
        *("--no_gradient_checkpointing", "--eval_problems", "3", "--report_problems", "1",),
        *("--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "no", "--max_steps", "2"),
        *("--output_dir", str(folder)),
    ]) == 0  # fmt: skip
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    for row in rows:
        assert row["rewards/pair/mean"] == row["reward"] <= row["accuracy"]
        assert 0 <= row["eval_accuracy"] <= 1
        assert "eval_reward" not in row and "eval_rewards/pair/mean" not in row
    measured = json.loads((folder / "eval.json").read_text())
    assert measured["before"]["greedy"]["n"] == measured["after"]["greedy"]["n"] == 3
    said = capsys.readouterr()
    assert (said.out + said.err).count("measured without the reward pair") == 1
