"""What lies under a path is found, or refused in one clear line."""

from __future__ import annotations

import datasets
import pytest
from data_sets import jsonl, own_rows

from sightline.cli.data import main
from sightline.errors import UserError
from sightline.tasks import load_task


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def test_a_file_of_rows_beside_a_folder_of_images(tmp_path):
    rows = own_rows(tmp_path / "data", 4)
    jsonl(tmp_path / "data" / "rows.jsonl", rows)
    problems = load_task(str(tmp_path / "data")).train()
    assert [problem.id for problem in problems] == [f"data/train/{n}" for n in range(4)]
    assert problems[1].images[0].size == (24, 16)


def test_files_beside_many_images_say_their_split(tmp_path, monkeypatch):
    monkeypatch.setattr("sightline.tasks.loading.local_files.MOST_FILES", 3)
    rows = own_rows(tmp_path / "data", 4)
    jsonl(tmp_path / "data" / "rows.jsonl", rows)
    jsonl(tmp_path / "data" / "rows-test.jsonl", rows[:2])
    (tmp_path / "data" / "dataset_infos.json").write_text("{}")
    task = load_task(str(tmp_path / "data"))
    assert (len(task.train()), len(task.test())) == (4, 2)
    (tmp_path / "data" / "more.csv").write_text("question,answer\na,b\n")
    with pytest.raises(UserError, match=r"several kinds: more.csv, rows-test.jsonl, rows.jsonl; name one"):
        load_task(str(tmp_path / "data")).train()


def test_a_folder_that_is_too_large_to_search_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("sightline.tasks.loading.local_files.MOST_FILES", 3)
    deep = tmp_path / "all" / "a" / "b"
    deep.mkdir(parents=True)
    for number in range(4):
        (deep / f"{number}.txt").write_text("x")
    with pytest.raises(UserError, match="holds more than 3 files and folders, and no data file") as mistake:
        load_task(str(tmp_path / "all")).train()
    assert "\n" not in str(mistake.value)
    rows = own_rows(tmp_path / "all", 4)
    jsonl(tmp_path / "all" / "rows.jsonl", rows)
    assert len(load_task(str(tmp_path / "all")).train()) == 4


def test_what_the_operating_system_refuses_is_said_without_its_number(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()

    def refuse(folder, **options):
        raise PermissionError(13, "Permission denied", f"{folder}/inside")

    monkeypatch.setattr(datasets, "load_dataset_builder", refuse)
    with pytest.raises(UserError, match=r"holds no data: .*/closed/inside: Permission denied") as mistake:
        load_task(str(tmp_path / "closed")).train()
    assert "Errno" not in str(mistake.value)


@pytest.mark.parametrize("name", ["nofile.parquet", "nofile.csv", "nofile.txt"])
def test_a_file_that_is_not_there_is_no_unknown_task(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"file {name} does not exist; expected a data file"):
        main(["check", name])


def test_a_header_alone_holds_no_rows(tmp_path):
    (tmp_path / "g.csv").write_text("image,question,answer\n")
    with pytest.raises(UserError, match=r"g.csv, train: it holds no rows"):
        main(["check", str(tmp_path / "g.csv")])


def test_a_set_held_out_from_itself_is_said_to_be(tmp_path):
    (tmp_path / "g.csv").write_text("question,answer\nWhy?,a\n")
    with pytest.raises(UserError, match=r"held out are the ones trained on \(g.csv, split train\)"):
        main(["check", str(tmp_path / "g.csv"), "--test", str(tmp_path / "g.csv")])
