"""Every published layout and every local form of a set becomes the same problems."""
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false

from __future__ import annotations

import csv
import json
from dataclasses import replace

import data_sets
import datasets
import pytest
from data_sets import jsonl, make_image, own_rows, papers_rows, png
from datasets import ClassLabel, Dataset, Features, Image, List, Value

from sightline.errors import UserError
from sightline.tasks import DataOptions, ShapesTask, load_task
from sightline.tasks.loading.known_datasets import KNOWN, USUAL


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def said(task, problem) -> str:
    """The user's turn on one line, an image as its size."""
    sizes = iter(problem.images)
    turn = task.messages(problem)[-1]["content"]
    return "|".join(part.get("text") or "{}x{}".format(*next(sizes).size) for part in turn)


# --- the published sets ----------------------------------------------------------------------------

LAYOUTS = {
    "PAPOGalaxy/PAPO_ViRL39K_train": (data_sets.virl39k, 0),
    "chamber111/VPPO_ViRL39K_train": (data_sets.virl39k_structs, 0),
    "PAPOGalaxy/PAPO_MMK12_test": (data_sets.mmk12_test, 1000),
    "chamber111/VPPO_MMK12_validation": (data_sets.mmk12_test, 1000),
    "hiyouga/geometry3k": (data_sets.geometry3k, 2000),
    "FanqingM/MMK12": (data_sets.mmk12, 300),
}
"""What writes a set's layout, and the seed of its first image."""


def test_every_known_set_has_a_layout_here():
    assert set(LAYOUTS) == set(KNOWN)
    for known in KNOWN.values():
        assert known.test is None or known.test[0] in KNOWN
        assert known.columns.question in USUAL["question"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_local_copy_of_a_published_set_needs_no_settings(name, tmp_path):
    write, seed = LAYOUTS[name]
    folder = write(tmp_path / name.split("/")[1])
    task = load_task(str(folder), DataOptions(prompt_template="plain"))
    problems = task.train()
    first, second = problems[0], problems[1]
    assert first.id == f"{folder.name}/train/0"
    assert "<image>" not in first.question and first.answer
    assert said(task, first).startswith("24x16|")
    images = 1 if name == "FanqingM/MMK12" else 2
    assert said(task, second).count("24x16|") == len(second.images) == images
    assert first.images[0].tobytes() == make_image(seed).tobytes()
    with_ones = [part.get("text") for part in task.messages(first)[-1]["content"]]
    assert with_ones[0] is None and len(with_ones) == 2


def test_held_out_splits_and_sets(tmp_path):
    geometry = load_task(str(data_sets.geometry3k(tmp_path / "g")))
    assert [problem.id for problem in geometry.test()] == ["g/test/0", "g/test/1"]
    virl = data_sets.virl39k(tmp_path / "v")
    with pytest.raises(UserError, match="holds nothing out"):
        load_task(str(virl)).test()
    other = data_sets.mmk12_test(tmp_path / "m")
    task = load_task({"source": str(virl), "test": str(other)})
    assert [problem.answer for problem in task.test()] == ["A", "B", "C", "D"]
    other_schema = load_task(
        {"source": str(virl), "test": {"source": str(data_sets.mmk12(tmp_path / "f")), "split": "test"}}
    )
    assert [problem.answer for problem in other_schema.test()] == ["A", "C"]
    same = load_task({"source": str(virl), "test": {"source": str(virl), "split": "train"}})
    with pytest.raises(UserError, match="held out are the ones trained on"):
        same.test()
    with pytest.raises(UserError, match=r"unknown split of g: 'tset'.*did you mean test\?"):
        load_task({"source": str(tmp_path / "g"), "split": "tset"}).train()


def test_counts_are_drawn_by_seed_and_stay_in_bounds(tmp_path):
    task = load_task(str(data_sets.virl39k(tmp_path / "v", 40)))
    some, again, other = task.train(8, 1), task.train(8, 1), task.train(8, 2)
    assert [p.id for p in some] == [p.id for p in again] != [p.id for p in other]
    assert len({p.id for p in some}) == 8
    assert [p.id for p in task.train(None, 1)] == [f"v/train/{i}" for i in range(40)]
    assert len(task.train(999, 0)) == 40 and len(task.train(0, 0)) == 0
    assert [p.id for p in task.train()[2:6:3]] == ["v/train/2", "v/train/5"]
    assert task.train()[-1].id == "v/train/39"
    with pytest.raises(IndexError):
        task.train()[40]


# --- local forms -----------------------------------------------------------------------------------


def as_jsonl(folder, rows):
    return jsonl(folder / "rows.jsonl", rows)


def as_json(folder, rows):
    (folder / "rows.json").write_text(json.dumps(rows))
    return folder / "rows.json"


def as_csv(folder, rows, suffix=".csv"):
    file = folder / f"rows{suffix}"
    with open(file, "w", newline="", encoding="utf-8-sig") as lines:
        writer = csv.DictWriter(lines, list(rows[0]), delimiter="\t" if suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
    return file


def as_tsv(folder, rows):
    return as_csv(folder, rows, ".tsv")


def as_parquet(folder, rows):
    Dataset.from_list(rows).to_parquet(str(folder / "rows.parquet"))
    return folder / "rows.parquet"


def as_large_row_group(folder, rows):
    many = [row for _ in range(50) for row in rows]
    Dataset.from_list(many).to_parquet(str(folder / "rows.parquet"), batch_size=10_000)
    return folder / "rows.parquet"


def as_metadata(folder, rows):
    jsonl(folder / "metadata.jsonl", [{"file_name": row.pop("image"), **row} for row in rows])
    return folder


def as_metadata_csv(folder, rows):
    as_csv(folder, [{"file_name": row.pop("image"), **row} for row in rows]).rename(folder / "metadata.csv")
    return folder


def as_arrow(folder, rows):
    pictured = [
        {**row, "image": {"bytes": (folder / row["image"]).read_bytes(), "path": None}} for row in rows
    ]
    Dataset.from_list(pictured).save_to_disk(str(folder / "saved"))
    return next((folder / "saved").glob("*.arrow"))


def as_saved(folder, rows):
    as_arrow(folder, rows)
    return folder / "saved"


def as_shards(folder, rows):
    (folder / "data").mkdir()
    for place, row in enumerate(rows):
        jsonl(folder / "data" / f"train-{place:05d}-of-{len(rows):05d}.jsonl", [row])
    return folder


FORMS = [
    as_jsonl,
    as_json,
    as_csv,
    as_tsv,
    as_parquet,
    as_metadata,
    as_metadata_csv,
    as_arrow,
    as_saved,
    as_shards,
]


@pytest.mark.parametrize("form", FORMS)
def test_local_forms_give_the_same_problems(form, tmp_path):
    folder = tmp_path / "own"
    rows = own_rows(folder)
    task = load_task(str(form(folder, [dict(row) for row in rows])))
    problems = task.train()
    assert [(p.question, p.answer) for p in problems] == [(row["question"], row["answer"]) for row in rows]
    assert [p.images[0].tobytes() for p in problems] == [make_image(i).tobytes() for i in range(len(rows))]


def test_a_parquet_file_of_one_huge_row_group_is_converted_and_reads_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("sightline.tasks.loading.sources.MOST_GROUP_BYTES", 10)
    rows = own_rows(tmp_path)
    problems = load_task(str(as_large_row_group(tmp_path, rows))).train()
    assert type(problems.table).__name__ == "ArrowTable"
    assert problems[4].images[0].tobytes() == make_image(1).tobytes()


def test_a_folder_with_one_metadata_file_per_split(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        rows = own_rows(tmp_path / "own" / split, count)
        as_metadata(tmp_path / "own" / split, rows)
    task = load_task(str(tmp_path / "own"))
    assert (len(task.train()), len(task.test())) == (3, 2)
    assert task.test()[1].images[0].tobytes() == make_image(1).tobytes()


def test_cells_are_taken_as_they_are_written(tmp_path):
    rows = own_rows(tmp_path, 5)
    answers = ["NA", "007", "None", "1e3", " 4 "]
    file = as_csv(tmp_path, [{**row, "answer": answer} for row, answer in zip(rows, answers, strict=True)])
    assert [p.answer for p in load_task(str(file)).train()] == ["NA", "007", "None", "1e3", "4"]
    mixed = [{**row, "answer": answer} for row, answer in zip(rows, [3, "x", 2.5, "A", 1], strict=True)]
    assert [p.answer for p in load_task(str(jsonl(tmp_path / "m.jsonl", mixed))).train()] == [
        "3",
        "x",
        "2.5",
        "A",
        "1",
    ]


def test_class_labels_are_spelled_out(tmp_path):
    features = Features(
        {"image": Image(), "question": Value("string"), "answer": ClassLabel(names=["A", "B"])}
    )
    rows = {"image": [png(1), png(2)], "question": ["a", "b"], "answer": [1, 0]}
    file = tmp_path / "labels.parquet"
    Dataset.from_dict(rows, features=features).to_parquet(str(file))
    assert [p.answer for p in load_task(str(file)).train()] == ["B", "A"]
    saved = data_sets.saved(tmp_path / "saved", {"train": Dataset.from_dict(rows, features=features)})
    assert [p.answer for p in load_task(str(saved)).train()] == ["B", "A"]


def test_choices_in_every_form(tmp_path):
    rows = own_rows(tmp_path, 1)[0]
    for choices in (["1", "2"], {"A": "1", "B": "2"}, '["1", "2"]', [1, 2]):
        file = jsonl(tmp_path / "c.jsonl", [{**rows, "choices": choices, "answer": "B"}])
        task = load_task(str(file), DataOptions(prompt_template="plain"))
        assert task.train()[0].choices == ("1", "2")
        assert "A. 1\nB. 2" in said(task, task.train()[0])
        file.unlink()


def test_a_dataset_in_memory(tmp_path):
    rows = {"image": [make_image(1), make_image(2)], "question": ["a", "b"], "answer": ["1", "2"]}
    task = load_task({"source": Dataset.from_dict(rows), "name": "mine"})
    assert [p.id for p in task.train()] == ["mine/train/0", "mine/train/1"]
    assert task.train()[1].images[0].tobytes() == make_image(2).tobytes()
    many = {"image": [[make_image(1), make_image(2)]], "question": ["a<image>b<image>"], "answer": ["1"]}
    assert said(
        load_task({"source": Dataset.from_dict(many)}),
        load_task({"source": Dataset.from_dict(many)}).train()[0],
    )


def test_columns_by_name(tmp_path):
    rows = own_rows(tmp_path)
    renamed = [{"q": r["question"], "gold": r["answer"], "pic": r["image"], "topic": "dots"} for r in rows]
    file = jsonl(tmp_path / "r.jsonl", renamed)
    columns = {"question": "q", "answer": "gold", "images": "pic", "kind": "topic"}
    for task in (
        load_task(str(file), DataOptions(columns=columns)),
        load_task({"source": str(file), "columns": columns}),
    ):
        problem = task.train()[0]
        assert (problem.question, problem.answer, problem.kind, len(problem.images)) == (
            "How many dots in 0?", "0", "dots", 1,
        )  # fmt: skip
    for columns, said_so in (
        ({}, "no column that is known to hold the question or the answer; it has q, gold, pic, topic"),
        ({"question": "q", "answer": "golds"}, r"unknown column in r.jsonl: 'golds': did you mean gold\?"),
        (
            {"question": "q", "anser": "gold"},
            r"unknown role in columns of r.jsonl: 'anser': did you mean answer or answers\?",
        ),
    ):
        with pytest.raises(UserError, match=said_so):
            load_task(str(file), DataOptions(columns=columns)).train()
    both = jsonl(tmp_path / "b.jsonl", [{**r, "problem": "?"} for r in rows])
    with pytest.raises(UserError, match="both problem and question could hold the question"):
        load_task(str(both)).train()


def test_images_in_another_folder(tmp_path):
    rows = own_rows(tmp_path / "elsewhere")
    (tmp_path / "texts").mkdir()
    file = jsonl(tmp_path / "texts" / "t.jsonl", rows)
    with pytest.raises(UserError, match=r"3 missing image \(rows 0, 1, 2\)"):
        load_task(str(file)).train()
    task = load_task({"source": str(file), "image_dir": str(tmp_path / "elsewhere")})
    assert task.train()[2].images[0].tobytes() == make_image(2).tobytes()


# --- mistakes --------------------------------------------------------------------------------------


def test_mistakes_are_one_clear_line(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "broken.jsonl").write_text('{"question": "a"\n')
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(png(1))
    (tmp_path / "none").mkdir()
    for spec, said_so in [
        ("shape", r"unknown task 'shape': did you mean shapes\b"),
        (str(tmp_path / "absent.jsonl"), "does not exist"),
        ("./absent", "does not exist"),
        (str(tmp_path / "notes.txt"), "is no data file"),
        (str(tmp_path / "broken.parquet"), "cannot read"),
        (str(tmp_path / "broken.jsonl"), "cannot read"),
        (str(tmp_path / "empty.jsonl"), "is empty"),
        (str(tmp_path / "images"), "without questions|holds no data"),
        (str(tmp_path / "none"), "holds no data"),
        ({"sourse": "x"}, r"unknown key of a source: 'sourse': did you mean source\?"),
        ({"split": "train"}, "needs `source"),
        ({"source": "x/y", "revision": 3}, "revision of a source must be text"),
        ({"source": "x/y", "weight": -1}, "weight"),
        ({"source": "x/y", "columns": "question"}, "columns must be a mapping"),
        ({"source": str(tmp_path / "notes.txt"), "revision": "main"}, "is a local set"),
        ({"source": "shapes", "columns": {}}, "it takes no columns"),
        ([], "at least one source"),
        ([["shapes"]], "flat list"),
        (7, "a task is a name"),
    ]:
        with pytest.raises(UserError, match=said_so) as mistake:
            load_task(spec).train()
        assert "\n" not in str(mistake.value), spec
    for options, said_so in [
        ({"on_bad_row": "ignore"}, "on_bad_row must be error or skip"),
        ({"min_pixels": 0}, "min_pixels"),
        ({"min_pixels": 9, "max_pixels": 4}, "above max_pixels"),
        ({"columns": ["question"]}, "columns must be a mapping"),
    ]:
        with pytest.raises(UserError, match=said_so):
            DataOptions(**options)


def test_a_hub_out_of_reach_says_how_to_go_on(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match="cannot load hiyouga/geometry3k at revision abc from the hub"
    ) as mistake:
        load_task({"source": "hiyouga/geometry3k", "revision": "abc"}).train()
    for way in ("HF_TOKEN", "hf download hiyouga/geometry3k --repo-type dataset --local-dir", "gated"):
        assert way in str(mistake.value)
    assert "\n" not in str(mistake.value)


# --- what a task gives -----------------------------------------------------------------------------


def test_shapes_is_a_task_as_before():
    assert isinstance(load_task("shapes"), ShapesTask)
    assert isinstance(load_task({"source": "shapes"}), ShapesTask)


def test_messages_follow_the_options(tmp_path):
    folder = data_sets.virl39k(tmp_path / "v")
    task = load_task(str(folder), DataOptions(system_prompt="Look.", max_pixels=96))
    system, user = task.messages(task.train()[1])
    assert system == {"role": "system", "content": [{"type": "text", "text": "Look."}]}
    assert [part["type"] for part in user["content"]] == ["image", "image", "text"]
    assert user["content"][2]["text"].startswith("What is the sum of 1 and 1?\n\nYou first think")
    assert [image.size for image in task.train()[1].images] == [(12, 8), (12, 8)]
    bigger = load_task(str(folder), DataOptions(min_pixels=24 * 16 * 4))
    assert bigger.train()[0].images[0].size == (48, 32)


def test_a_problem_keeps_its_places_when_its_images_are_replaced(tmp_path):
    rows = papers_rows(2)
    rows["problem"][1] = "first <image> second <image> third"
    file = tmp_path / "p.parquet"
    Dataset.from_dict(
        rows,
        features=Features({"images": List(Image()), "problem": Value("string"), "answer": Value("string")}),
    ).to_parquet(str(file))
    task = load_task(str(file), DataOptions(prompt_template="plain"))
    problem = task.train()[1]
    blind = replace(problem, images=tuple(make_image(0, 8, 8) for _ in problem.images))
    assert said(task, blind) == "first |8x8| second |8x8| third"
    assert problem.question == "first  second  third"


def test_a_revision_and_rows_are_reported(tmp_path):
    task = load_task(str(data_sets.virl39k(tmp_path / "v")))
    assert task.name == "v" and task.opened(task.source).revision is None
    assert task.train().skipped == ()
