"""One of two processes dies or is suspended: the other says in one line which, and ends with exit 1."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import several_ranks
import short_runs
from test_distributed_resume import SHORT, TRAIN

from sightline.engines.checkpoints import checkpoints

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("sent", "state"), [(signal.SIGKILL, "has died"), (signal.SIGSTOP, "is suspended")])
def test_the_rank_that_is_left_says_which_is_lost(sent: signal.Signals, state: str, tmp_path: Path) -> None:
    flags = short_runs.flags(tmp_path, *SHORT, "--max_steps", "400", "--ddp_timeout", "8")
    first, second = several_ranks.start(["-c", TRAIN, *flags], 2)
    try:
        while not checkpoints(tmp_path):
            assert first.poll() is None, first.communicate()[1]
            time.sleep(0.1)
        os.kill(second.pid, sent)
        _, errors = first.communicate(timeout=60)
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    assert first.returncode == 1, errors
    assert "Traceback" not in errors
    (line,) = [line for line in errors.splitlines() if "training stopped" in line]
    assert f"rank 1 (process {second.pid}" in line and state in line
    assert "step" in line and "the last good checkpoint is" in line
