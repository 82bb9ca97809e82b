"""What goes wrong in a process of verl is told by its own words."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from runs import HERE, train

from sightline.engines import StoppedError
from sightline.engines.verl.launch import _raise_failure
from sightline.engines.verl.run_signals import RunSignals
from sightline.errors import UserError


def test_a_users_reward_that_fails_ends_the_run_with_its_own_line(tmp_path: Path) -> None:
    run = train(tmp_path / "run", rewards=f"{HERE / 'rewards.py'}:fails", method="grpo")
    last = run.said.strip().splitlines()[-1]
    assert run.code == 2, run.said
    assert "raised ZeroDivisionError: no reward today" in last and "rewards.py" in last
    assert "Traceback" not in run.said and "empty list as keys" not in run.said


def test_a_worker_that_dies_ends_the_run_within_a_minute(tmp_path: Path) -> None:
    killed: list[float] = []

    def kill_a_rank(process: subprocess.Popen[str]) -> None:
        killed.append(time.monotonic())
        os.kill(rank_of(process.pid), signal.SIGKILL)

    run = train(tmp_path / "run", method="grpo", max_steps=200, then=kill_a_rank)
    assert time.monotonic() - killed[0] < 60
    assert run.code == 1, run.said
    assert "a process of verl died" in run.said and "there is no checkpoint yet" in run.said
    assert "empty list as keys" not in run.said


def test_a_ray_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    said = "The current node timed out during startup. This could happen because some of the raylet failed"
    with pytest.raises(StoppedError, match=r"Ray did not start within its time.*start again, with --resume"):
        _raise_failure(Exception(said), RunSignals(tmp_path), tmp_path)


def test_a_cluster_that_goes_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no Ray cluster answers at ray_address; start one"):
        _raise_failure(ConnectionError("ray"), RunSignals(tmp_path), tmp_path)


def rank_of(command: int) -> int:
    """A training rank among the processes that a run started."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    ours = [line.split(None, 1) for line in listed.splitlines() if "ray::" in line and "WorkerDict" in line]
    found = [int(pid) for pid, _ in ours if command in ancestors(int(pid))]
    assert found, listed
    return found[0]


def ancestors(pid: int) -> list[int]:
    """The processes that a process descends from."""
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found
