"""The measurements of a study's run are read back as they are written, and a damaged line is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.errors import UserError
from sightline.laboratory.study.folder import StudyRun

ROW: dict[str, Any] = {
    "step": 0, "cpu_seconds": 1.0, "sampled": 0.5, "greedy": 0.5, "greedy_right": "0?1", "sampled_right": "2",
    "sensitivity": None,
}  # fmt: skip


def read(folder: Path, **other: Any) -> list[dict[str, Any]]:
    run = StudyRun(folder)
    run.evaluations.write_text(json.dumps(ROW | other) + "\n")
    return run.read_evaluations()


def test_rights_are_text_and_the_rest_numbers(tmp_path: Path) -> None:
    assert read(tmp_path) == [ROW]
    with pytest.raises(UserError, match="sensitivity is a text, expected a number"):
        read(tmp_path, sensitivity="x")
    with pytest.raises(UserError, match="greedy_right is a whole number, expected a text"):
        read(tmp_path, greedy_right=3)
