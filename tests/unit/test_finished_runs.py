"""What a run that is made longer finds of its shorter self."""

from __future__ import annotations

import shutil
from pathlib import Path

from sightline.engines.finished_runs import models_written, trained_model
from sightline.run_folder import RunFolder


def write(model: Path) -> None:
    shutil.rmtree(model, ignore_errors=True)
    part = model.parent / "part"
    part.mkdir(parents=True)
    (part / "config.json").write_text("{}")
    part.rename(model)


def test_an_old_model_is_told_from_one_that_was_written_since(tmp_path: Path) -> None:
    folder, spare = RunFolder(tmp_path / "run"), tmp_path / "spare"
    assert models_written(folder, spare) == set()
    write(folder.model)
    before = models_written(folder, spare)
    assert trained_model(folder, spare) == folder.model
    assert not models_written(folder, spare) - before
    write(spare / folder.model.name)
    elsewhere = models_written(folder, spare)
    assert {file.parent.parent for file, *_ in elsewhere - before} == {spare}
    write(folder.model)
    assert {file.parent for file, *_ in models_written(folder, spare) - elsewhere} == {folder.model}
