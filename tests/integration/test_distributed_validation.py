"""Two processes measure the held-out problems together, sharded or not, as one of them does at the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import several_ranks
import short_runs
from test_distributed_resume import command

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("sharding", [None, several_ranks.FSDP2], ids=["ddp", "fsdp2"])
def test_held_out_problems_on_two_ranks(sharding: dict[str, str] | None, tmp_path: Path) -> None:
    """The weights of the best step give what was measured at it: the first, since no later one is better."""
    rewards = tmp_path / "rewards.py"
    rewards.write_text("def fading(completions, trainer_state, **_):\n"
                       "    return [-float(trainer_state.global_step)] * len(completions)\n")  # fmt: skip
    flags = (
        *("--max_steps", "2", "--eval_strategy", "steps", "--eval_steps", "1", "--save_steps", "1"),
        *("--eval_problems", "9", "--report_problems", "0", "--load_best_model_at_end"),
        *("--rewards", json.dumps({"accuracy": 1.0, f"{rewards}:fading": 0.0})),
        *("--metric_for_best_model", "rewards/fading/mean", "--learning_rate", "3e-2"),
    )
    results = several_ranks.run(command(tmp_path / "run", *flags), 2, sharding)
    assert [code for code, _ in results] == [0, 0], results[0][1][-3000:] + results[1][1][-3000:]
    rows = short_runs.metrics(tmp_path / "run")
    assert [row["eval_rewards/fading/mean"] for row in rows] == [-1.0, -2.0]
    after = json.loads((tmp_path / "run" / "eval.json").read_text())["after"]
    assert after["greedy"]["value"] == rows[0]["eval_accuracy"]
    assert "the model is that of step 1" in results[0][1] and "the model is" not in results[1][1]
