"""The disk is full when two processes have trained: one waits for room, the other for it, however long."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest
import several_ranks
import short_runs
from test_distributed_resume import SHORT, TRAIN

pytestmark = pytest.mark.slow
TIME_OUT = 8
LARGEST = 1_000_000
"""Bytes that a file may have while the disk counts as full: the model has 3.8 million."""


def test_one_rank_waits_for_room_and_the_other_for_it(tmp_path: Path) -> None:
    more = ("--max_steps", "2", "--save_strategy", "no", "--ddp_timeout", str(TIME_OUT))
    first, second = several_ranks.start(["-c", TRAIN, *short_runs.flags(tmp_path, *SHORT, *more)], 2)
    try:
        _, most = resource.prlimit(first.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(first.pid, resource.RLIMIT_FSIZE, (LARGEST, most))
        assert first.stderr is not None
        said = ""
        while "It is kept in memory for 120 s; make room" not in said:
            said = first.stderr.readline()
            assert said, "the run ended by itself"
        assert not (tmp_path / "model").exists()
        time.sleep(TIME_OUT + 2)
        resource.prlimit(first.pid, resource.RLIMIT_FSIZE, (most, most))
        errors = [process.communicate(timeout=120)[1] for process in (first, second)]
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
    assert (first.returncode, second.returncode) == (0, 0), errors
    assert (tmp_path / "model" / "model.safetensors").stat().st_size > LARGEST
