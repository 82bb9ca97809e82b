"""The trained model on a full disk: it waits in the workers, goes to the spare folder, or ends the run."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sightline.engines import StoppedError
from sightline.engines.verl.training.run_record import RunRecord

WARN = {"warn_zero_rewards": 0, "warn_zero_gradient": 0, "warn_entropy": 0, "warn_drift": 0, "warn_blind": 0,
        "generation_batch_size": 8, "top_p": 1.0, "top_k": 0}  # fmt: skip


def record(folder: Path, full: dict[str, int], **asked: Any) -> RunRecord:
    """Of a run whose workers find the disk of a folder full so many times."""

    def save(path: str) -> None:
        place = str(Path(path).parent)
        if full.get(place, 0):
            full[place] -= 1
            raise OSError(errno.ENOSPC, "No space left on device", path)
        Path(path).mkdir()
        (Path(path) / "config.json").write_text("{}")

    folder.mkdir(exist_ok=True)
    trainer = SimpleNamespace(actor_rollout_wg=SimpleNamespace(save_checkpoint=save))
    usual = {"folder": str(folder), "updates": 1, "warn": WARN, "resume_from": None, "spare_dir": None,
             "model_bytes": 1000, "wait_for_disk": 30.0}  # fmt: skip
    found = RunRecord(trainer, usual | asked)
    found.signals.clear()
    return found


def test_it_is_tried_again_until_there_is_room(tmp_path: Path) -> None:
    run = tmp_path / "run"
    one = record(run, {str(run): 1})
    one._export()
    assert (run / "model" / "config.json").is_file() and not (run / ".model.part").exists()
    assert "cannot be written" in one.signals.lines(0)[0]


def test_it_goes_to_the_spare_folder(tmp_path: Path) -> None:
    run, spare = tmp_path / "run", tmp_path / "spare"
    one = record(run, {str(run): 99}, spare_dir=str(spare))
    one._export()
    assert (spare / "model" / "config.json").is_file() and not (run / "model").exists()
    assert f"the trained model goes to {spare / 'model'}" in one.signals.lines(0)[-1]


def test_a_run_whose_model_fits_nowhere_says_so(tmp_path: Path) -> None:
    run = tmp_path / "run"
    one = record(run, {str(run): 99}, wait_for_disk=0.0)
    with pytest.raises(StoppedError, match=f"the trained model is not saved in {run}: its disk is full"):
        one._export()
