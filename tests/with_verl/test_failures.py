"""What goes wrong in a process of verl is told by its own words."""

from __future__ import annotations

from pathlib import Path

from runs import HERE, train


def test_a_users_reward_that_fails_ends_the_run_with_its_own_line(tmp_path: Path) -> None:
    run = train(tmp_path / "run", rewards=f"{HERE / 'rewards.py'}:fails", method="grpo")
    last = run.said.strip().splitlines()[-1]
    assert run.code == 2, run.said
    assert "raised ZeroDivisionError: no reward today" in last and "rewards.py" in last
    assert "Traceback" not in run.said and "empty list as keys" not in run.said
