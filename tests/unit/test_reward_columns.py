"""What rewards are told: every column of the problem's row, golds of any kind, decoded images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from PIL import Image

from sightline.engines.trl.data.dataset import COLUMNS, LazyRows, told_rewards, training_rows
from sightline.errors import UserError
from sightline.tasks import DataOptions, load_task
from sightline.tasks.reward_columns import by_column, reward_columns

ROW = {
    "image": "dot.png", "question": "Where is the dot?", "answer": [1, 2, 3.5, 4], "id": "my-7",
    "weight": 0.5, "sure": True, "about": {"tags": ["a", 2], "none": None}, "prompt": "mine",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "dot.png")
    (tmp_path / "rows.jsonl").write_text("\n".join([json.dumps(ROW), json.dumps(ROW | {"answer": {"x": 1}})]))
    return tmp_path


OWN = DataOptions(structured_golds=True)


def test_every_column_of_a_row_as_plain_values(folder: Path) -> None:
    (first, second) = load_task(str(folder / "rows.jsonl"), OWN).train(None, 0)
    told = reward_columns(first)
    assert told["answer"] == [1, 2, 3.5, 4] and first.answer == "[1, 2, 3.5, 4]"
    assert told["weight"] == 0.5 and told["sure"] is True
    assert told["about"] == {"tags": ["a", 2], "none": None}
    assert told["id"] == "my-7" and told["kind"] == "" and told["question"] == ROW["question"]
    assert "prompt" not in told
    assert told["image"].size == (40, 30) and told["images"] == [told["image"]]
    assert reward_columns(second)["answer"] == {"x": 1}


def test_the_built_in_accuracy_asks_for_a_reward_of_the_users(folder: Path) -> None:
    with pytest.raises(
        UserError, match=r"the answer is a list.* \[1, 2, 3.5, 4\]; judge it by a reward of your own"
    ):
        load_task(str(folder / "rows.jsonl")).train(None, 0)


def test_a_list_of_one_text_is_that_text_for_the_accuracy_and_a_list_for_own_rewards() -> None:
    rows = Dataset.from_list([{"question": "?", "answer": ["5"]}])
    assert reward_columns(load_task({"source": rows}).train(None, 0)[0])["answer"] == "5"
    assert reward_columns(load_task({"source": rows}, OWN).train(None, 0)[0])["answer"] == ["5"]


@pytest.mark.parametrize("streaming", [False, True])
def test_parquet_and_streams_too(tmp_path: Path, streaming: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"question": f"{i}?", "gold": "5", "box": [i, i + 1], "answer": "shadowed"} for i in range(3)
    ]
    Dataset.from_list(rows).to_parquet(tmp_path / "rows.parquet")
    options = DataOptions(columns={"answer": "gold"}, streaming=streaming)
    problems = load_task(str(tmp_path / "rows.parquet"), options).train(None, 0)
    told = [reward_columns(problem) for problem in problems]
    assert sorted(one["box"] for one in told) == [[0, 1], [1, 2], [2, 3]]
    assert all(one["answer"] == one["gold"] == "5" for one in told)


def test_rows_of_a_mixture_have_the_same_columns() -> None:
    assert by_column([{"a": 1}, {"b": 2}]) == {"a": [1, None], "b": [None, 2]}


def test_rewards_are_told_whole_rows_only_if_they_may_read_them(folder: Path) -> None:
    task = load_task(str(folder / "rows.jsonl"), OWN)
    rows = LazyRows(training_rows(task, task.train(None, 0))).at([0, 0, 1])
    whole = told_rewards(rows, whole=True, opening="<think>")
    assert [row["answer"] for row in whole] == [[1, 2, 3.5, 4]] * 2 + [{"x": 1}]
    assert whole[0]["about"]["tags"] == ["a", 2] and whole[0]["opening"] == "<think>"
    assert whole[0]["prompt"][0]["role"] == "user"
    plain = told_rewards(rows, whole=False, opening="")
    assert "about" not in plain[0] and COLUMNS not in plain[0]
