"""`eval` and `inspect` on a data set of one's own, named as `train` takes it: a recipe, a mapping."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.cli import eval as eval_verb
from sightline.cli import main
from sightline.cli.task_argument import read_task
from sightline.errors import UserError
from sightline.evaluation.benchmarks.load import OpenBenchmark
from sightline.tasks import DataOptions, ShapesTask


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    task, rows = ShapesTask(), []
    for number, problem in enumerate(task.test(6, 0)):
        problem.images[0].save(tmp_path / f"{number}.png")
        row = {"picture": f"{number}.png", "question": problem.question, "gold": problem.answer}
        rows.append(json.dumps(row))
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    source = {"source": str(tmp_path / "rows.jsonl"), "columns": {"images": "picture", "answer": "gold"}}
    config = {"model": "embedded", "task": source, "prompt_template": "plain", "seed": 3}
    (tmp_path / "run.yaml").write_text(json.dumps(config))
    return tmp_path / "run.yaml"


def test_eval_takes_the_task_of_a_recipe(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--output_dir", str(tmp_path / "eval"), "--max_new_tokens", "40", "--token_scores", "0"]
    assert main(["eval", "embedded", "--task", str(recipe), *out]) == 0
    assert "rows.jsonl holds nothing out; its training problems are looked at" in capsys.readouterr().err
    found = json.loads((tmp_path / "eval" / "results.json").read_text())["benchmarks"]["rows.jsonl"]
    assert found["views"]["sighted"]["accuracy"]["n"] == 6
    asked = json.loads((tmp_path / "eval" / "problems.jsonl").read_text().splitlines()[0])
    assert asked["id"].startswith("rows.jsonl/train/")


def test_inspect_takes_a_mapping(recipe: Path, tmp_path: Path) -> None:
    task = json.dumps(json.loads(recipe.read_text())["task"])
    out = ["--output_dir", str(tmp_path / "look"), "--limit", "2", "--max_new_tokens", "24"]
    assert main(["inspect", "embedded", "--task", task, *out, "--views", "black"]) == 0
    about = json.loads((tmp_path / "look" / "inspect.json").read_text())["about"]
    assert about["task"] == "rows.jsonl"


def test_data_check_and_preview_take_a_mapping(recipe: Path, tmp_path: Path) -> None:
    task = json.dumps(json.loads(recipe.read_text())["task"])
    assert main(["data", "check", task]) == 0
    assert main(["data", "preview", task, "--output", str(tmp_path / "page.html"), "--count", "2"]) == 0
    assert main(["data", "check", str(recipe)]) == 0


def test_golds_that_are_lists_are_checked_as_the_recipe_judges_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"question": f"{number}?", "answer": [number, 2, 3, 4]} for number in range(3)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = {"source": str(tmp_path / "rows.jsonl")}
    (tmp_path / "run.yaml").write_text(json.dumps({"task": task, "rewards": {"mine.py:overlap": 1.0}}))
    assert main(["data", "check", str(tmp_path / "run.yaml"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["sets"]
    assert found["splits"]["rows.jsonl/train"]["answers"] == {"list or mapping": 3}
    assert main(["data", "check", json.dumps(task)]) == 1
    assert "judge it by a reward of your own" in capsys.readouterr().out


def opened(*words: str) -> list[OpenBenchmark]:
    """What `sightline eval embedded` with these words asks, without a model."""
    args = eval_verb.parser().parse_args(["embedded", *words, "--limit", "6"])
    asked = read_task(args.task)
    return eval_verb._open(args, None, DataOptions(), asked)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--task", "shapes"], ["shapes:pairs"]),
        (["--task", "shapes-2:pairs"], ["shapes-2:pairs"]),
        (["--task", "shapes-2:3"], ["shapes-2:3:pairs"]),
        (["--task", "shapes-2", "--benchmarks", "shapes"], ["shapes-2:pairs", "shapes:pairs"]),
        (["--task", "shapes", "--benchmarks", "shapes,shapes:pairs"], ["shapes:pairs"]),
    ],
)
def test_pairs_of_a_task_are_asked_for_it_and_for_benchmarks(words: list[str], names: list[str]) -> None:
    found = opened(*words, "--pairs")
    assert [one.name for one in found] == names
    for one in found:
        assert len({item.keys["pair"] for item in one.items}) == 3 and len(one.items) == 6
        assert one.about["aggregate"] == "paired"
        assert one.items[0].question == one.items[1].question


def test_pairs_of_a_set_of_rows_are_refused_by_name(recipe: Path) -> None:
    with pytest.raises(UserError, match=r"--pairs: task rows\.jsonl draws no minimal pairs"):
        opened("--task", str(recipe), "--pairs")
