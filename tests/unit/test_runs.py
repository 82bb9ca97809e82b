"""A run's folder: nothing lost, nothing half-written."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.errors import UserError
from sightline.run_folder import finite, open_run, write_json, write_text


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
    open_run(run).release()
    (run / "checkpoint-1").mkdir()
    (run / "link").symlink_to(outside)
    open_run(run, overwrite=True)
    assert [path.name for path in run.iterdir()] == [".lock"]
    assert (outside / "kept.txt").read_text() == "kept"


@pytest.mark.parametrize("how", ["overwrite", "resume"])
@pytest.mark.parametrize("name", ["thesis.tex", "config.yaml", "results.json"])
def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path, name: str, how: str) -> None:
    (tmp_path / name).write_text("years: of work")
    with pytest.raises(UserError, match=f"not ours and --{how} leaves it alone"):
        open_run(tmp_path, overwrite=how == "overwrite", resume=how == "resume")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_another_program_s_lock_makes_no_run(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("")
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="not ours"):
        open_run(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_a_copy_without_hidden_files_is_still_a_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("versions: {sightline: 0.1.0}\n")
    assert open_run(tmp_path, resume=True).config.is_file()


def test_resume_keeps_everything(tmp_path: Path) -> None:
    open_run(tmp_path).release()
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    assert open_run(tmp_path, resume=True).metrics.read_text() == "{}\n"


OTHER_RUN = """
import sys, time
from sightline.run_folder import open_run
run = open_run(sys.argv[1])
print("locked", flush=True)
time.sleep(60)
"""


def test_two_runs_in_one_folder_and_the_lock_of_a_killed_one(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == "locked\n"
        for how in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(UserError, match=rf"in use by another run \(process {other.pid} on "):
                open_run(tmp_path, **how)
    finally:
        other.kill()
        other.communicate()
    open_run(tmp_path).release()


def test_released_folder_can_be_opened_by_another_process(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    script = OTHER_RUN.replace("time.sleep(60)", "")
    again = [sys.executable, "-c", script, str(tmp_path)]
    assert subprocess.run(again, capture_output=True, check=False).returncode != 0
    run.release()
    assert subprocess.run(again, capture_output=True, check=False).stdout == b"locked\n"


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
