"""The task of `inspect`, `eval` and `data` in every form that `train` takes, and where its images are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from PIL import Image

from sightline.cli.task_argument import read_task
from sightline.errors import UserError
from sightline.tasks import DataOptions, held_out_or_all, load_task

RECIPE = """
model: embedded
task: {source: rows.jsonl, test: {source: held_out.jsonl}}
columns: {question: asked}
prompt_template: plain
rewards: {"mine.py:f": 1.0}
max_prompt_length: 512
seed: 3
"""


def test_every_form_of_a_task(tmp_path: Path) -> None:
    assert read_task("shapes").task == "shapes"
    assert read_task("data/rows.jsonl").task == "data/rows.jsonl"
    assert read_task('{"source": "a/b", "split": "test"}').task == {"source": "a/b", "split": "test"}
    assert read_task("{source: a/b}").task == {"source": "a/b"}
    assert read_task("[{source: a/b}, {source: c/d}]").task == [{"source": "a/b"}, {"source": "c/d"}]
    for text, task in (("source: a/b\n", {"source": "a/b"}), ("- a/b\n- c/d\n", ["a/b", "c/d"])):
        (tmp_path / "task.yaml").write_text(text)
        assert read_task(str(tmp_path / "task.yaml")).task == task


def test_a_recipe_says_how_its_data_is_read(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    asked = read_task(str(tmp_path / "recipe.yaml"))
    assert asked.task["test"] == {"source": "held_out.jsonl"} and asked.max_prompt_length == 512
    options = DataOptions(**asked.options)
    assert options.columns == {"question": "asked"} and options.prompt_template == "plain"
    assert options.structured_golds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{source: [", "not valid JSON or YAML"),
        ("gone.yaml", "cannot be read"),
        ("{model: x}", "names no task"),
    ],
)
def test_what_is_no_task_says_so(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read_task(text)


def test_a_set_that_holds_nothing_out_is_looked_at_whole() -> None:
    rows = [{"question": f"{number}?", "answer": "5"} for number in range(5)]
    problems, line = held_out_or_all(load_task({"source": Dataset.from_list(rows), "name": "mine"}), 3)
    assert len(problems) == 3 and line == "mine holds nothing out; its training problems are looked at"
    problems, line = held_out_or_all(load_task("shapes"), 2)
    assert len(problems) == 2 and line is None


def written(folder: Path, **row: Any) -> str:
    Image.new("RGB", (32, 32)).save(folder / "a.png")
    (folder / "rows.jsonl").write_text(json.dumps({"question": "?", "answer": "5", **row}))
    return str(folder / "rows.jsonl")


@pytest.mark.parametrize("column", ["image", "images", "file_name"])
def test_images_under_their_usual_names_lie_beside_the_data_file(tmp_path: Path, column: str) -> None:
    (problem,) = load_task(written(tmp_path, **{column: "a.png"})).train(None, 0)
    assert [image.size for image in problem.images] == [(32, 32)]


def test_trl_s_conversations_with_an_image_column(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    prompt = [{"role": "user", "content": "How many?"}]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": prompt, "image": "a.png", "solution": "5"}))
    (problem,) = load_task(str(tmp_path / "rows.jsonl")).train(None, 0)
    assert (problem.question, problem.answer, len(problem.images)) == ("How many?", "5", 1)


@pytest.mark.parametrize("cell", ["a.png", ["a.png", "b.JPG"], "data:image/png;base64,AAAA"])
def test_images_that_nobody_named_are_an_error(tmp_path: Path, cell: Any) -> None:
    path = written(tmp_path, shot=cell)
    with pytest.raises(UserError, match=r"shot looks like it; say so with columns: \{images: shot\}"):
        load_task(path).train(None, 0)
    with pytest.raises(UserError, match="shot looks like it"):
        len(load_task(path, DataOptions(streaming=True)).train(1, 0)[0].images)
    without = load_task({"source": path, "columns": {"images": None}}).train(None, 0)
    assert not without[0].images


def test_image_features_that_nobody_named_are_an_error(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    rows = {
        "question": ["?"],
        "answer": ["5"],
        "shot": [{"bytes": (tmp_path / "a.png").read_bytes(), "path": None}],
    }
    with pytest.raises(UserError, match="shot looks like it"):
        load_task({"source": Dataset.from_dict(rows)}).train(None, 0)


def test_other_columns_are_no_images(tmp_path: Path) -> None:
    (problem,) = load_task(written(tmp_path, note="see figure.", box=[1, 2], about={"path": "x"})).train(
        None, 0
    )
    assert problem.images == ()


def test_a_path_that_leads_out_says_how_to_allow_it(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = written(tmp_path / "inner", image="../a.png")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"leads out of .*; if it may, name the folder .* image_dir"):
        load_task(path).train(None, 0)
    told = {"source": path, "image_dir": str(tmp_path)}
    (tmp_path / "inner" / "rows.jsonl").write_text(
        json.dumps({"question": "?", "answer": "5", "image": str(tmp_path / "a.png")})
    )
    assert len(load_task(told).train(None, 0)[0].images) == 1
