"""Every benchmark that `make bench` can run, but `soak` and `data`, leaves rows at its smallest size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
NAMES = [
    "scoring",
    "newer_signals",
    "exact_kl",
    "rollouts",
    "training_pass",
    "growth",
    "steps",
    "pages",
    "grading",
]
ALL = """
import runpy, sys
folder, out, *names = sys.argv[1:]
sys.path.insert(0, folder)
for name in names:
    sys.argv = [name, "--smallest", "--rounds", "1", "--out", out]
    runpy.run_path(f"{folder}/{name}.py", run_name="__main__")
"""

pytestmark = pytest.mark.slow


def test_benchmarks_run_at_their_smallest_size(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALL, str(FOLDER), str(tmp_path), *NAMES],
        env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in NAMES:
        rows = json.loads((tmp_path / f"{name}.json").read_text())
        assert rows
        for row in rows:
            assert row.keys() == {"name", "ours", "plain", "ratio", "unit"}
    assert (tmp_path / "growth.svg").read_text().count("<polyline") == 12
