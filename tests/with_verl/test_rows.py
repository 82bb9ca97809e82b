"""The rows that verl samples from, of a task that holds nothing out too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.engines.verl.data.dataset import TEST, TOLD, TRAIN, TaskRows
from sightline.engines.verl.data.messages import shown_images
from sightline.engines.verl.engine import _composed
from sightline.engines.verl.settings.resolve import parse
from sightline.errors import UserError


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Four problems of one image each, with a column of their own."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 6), "red").save(tmp_path / "a.png")
    row = {"question": "?", "answer": "1", "images": ["a.png"], "box": [1, 2]}
    (tmp_path / "rows.jsonl").write_text("\n".join([json.dumps(row)] * 4))
    facts = {"directory": os.getcwd(), "task": "rows.jsonl", "options": {}, "limit": None, "seed": 0}
    more = {"eval_problems": 0, "max_prompt_length": None, "placeholders": [], "whole_rows": True}
    return facts | more


def test_a_row_carries_its_image_encoded_and_what_rewards_are_told(asked: dict[str, Any]) -> None:
    rows = TaskRows(TRAIN, None, None, {"sightline": asked})
    assert len(rows) == 4
    (image,) = shown_images(rows[0]["raw_prompt"])
    assert image.size == (8, 6) and image.getpixel((0, 0)) == (255, 0, 0)
    assert rows[0][TOLD]["answer"] == "1" and rows[0][TOLD]["box"] == [1, 2]
    assert len(TaskRows(TRAIN, None, None, {"sightline": asked | {"limit": 2}})) == 2


def test_a_task_that_holds_nothing_out_trains_where_nothing_is_measured(asked: dict[str, Any]) -> None:
    assert len(TaskRows(TEST, None, None, {"sightline": asked})) == 1
    with pytest.raises(UserError, match="holds nothing out"):
        TaskRows(TEST, None, None, {"sightline": asked | {"eval_problems": 8}})
    cpu = ["--model", "embedded", "--use_cpu", "true", "--bf16", "false", "--eval_problems", "0"]
    with pytest.raises(UserError, match="eval_problems: 0 leaves none"):
        sections = {"sightline": {}, "data": {"eval_problems": 0}}
        _composed(parse([*cpu, "--", "trainer.test_freq=1"]), sections, Path("."), None)
