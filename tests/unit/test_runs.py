"""A run's folder: nothing lost, nothing half-written."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from sightline.errors import UserError
from sightline.runs import finite, open_run, write_json, write_text


def test_existing_run_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("method: vgpo\n")
    with pytest.raises(UserError, match=r"config\.yaml.*--overwrite.*--resume.*--output_dir"):
        open_run(tmp_path)
    assert (tmp_path / "config.yaml").read_text() == "method: vgpo\n"


def test_overwrite_empties_a_run_but_never_follows_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    run = tmp_path / "run"
    (run / "checkpoint-1").mkdir(parents=True)
    (run / "config.yaml").write_text("")
    (run / "link").symlink_to(outside)
    open_run(run, overwrite=True)
    assert list(run.iterdir()) == []
    assert (outside / "kept.txt").read_text() == "kept"


def test_overwrite_leaves_a_folder_alone_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"not a run of ours"):
        open_run(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_resume_keeps_everything(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    assert open_run(tmp_path, resume=True).metrics.read_text() == "{}\n"


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match="is a file"):
        open_run(tmp_path / "runs")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a place where nobody can write")
def test_unwritable_place() -> None:
    with pytest.raises(UserError, match="cannot write to"):
        open_run("/proc/sightline")


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "eval.json"
    write_text(target, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["eval.json"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"loss": math.nan, "rows": [1.5, math.inf, {"kl": -math.inf}], "n": 3})
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "loss": None,
        "rows": [1.5, None, {"kl": None}],
        "n": 3,
    }
    assert finite((1, True, "x", None)) == [1, True, "x", None]
