"""What the watch page shows of a rollout: its rewards, and what they said beside their numbers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from sightline.analysis.watch.completions import newest_completions


def test_what_rewards_said_beside_their_numbers_is_shown(tmp_path: Path) -> None:
    (tmp_path / "completions").mkdir()
    said = {"prompt": "asked", "completion": "told", "overlap": 0.25, "box": "[1, 2]", "note": "n" * 900}
    parquet.write_table(pa.Table.from_pylist([said]), tmp_path / "completions/completions_00001.parquet")
    (row,) = newest_completions(tmp_path)[1]
    assert row.numbers == (("overlap", "0.25"), ("box", "[1, 2]"), ("note", "n" * 200))
