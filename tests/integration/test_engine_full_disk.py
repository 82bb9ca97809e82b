"""The trained model and a disk that is full at the end; answers that could not be judged, in a batch."""

import errno
from pathlib import Path

import pytest
import short_runs

from sightline.engines.checkpoints import StoppedError
from sightline.engines.trl.state.model_export import TrainedWeights
from sightline.engines.trl.trainer.trainer import TokenCreditTrainer

SHORT = ("--max_steps", "2", "--save_strategy", "no")


def full(times: int, monkeypatch: pytest.MonkeyPatch, inside: Path) -> None:
    """The trained model finds the disk of a folder full so many times."""
    real, left = TrainedWeights.write, [times]

    def write(weights, settings, folder):
        if folder.path == inside and left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device", str(folder.path))
        return real(weights, settings, folder)

    monkeypatch.setattr(TrainedWeights, "write", write)


def test_the_model_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full(1, monkeypatch, tmp_path)
    said: list[str] = []
    short_runs.run(tmp_path, *SHORT, "--wait-for-disk", "30", said=said)
    assert (tmp_path / "model/model.safetensors").is_file()
    assert any("kept in memory for 30 s" in line for line in said)
    (tmp_path / "new").touch()
    rights = {file.name: oct(file.stat().st_mode) for file in tmp_path.rglob("*") if file.is_file()}
    assert set(rights.values()) == {rights["new"]}, rights


def test_the_model_goes_to_a_second_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full(100, monkeypatch, tmp_path / "run")
    said: list[str] = []
    short_runs.run(tmp_path / "run", *SHORT, "--spare_dir", str(tmp_path / "spare"), said=said)
    assert (tmp_path / "spare/model/model.safetensors").is_file()
    assert any("the trained model goes to" in line for line in said)


def test_a_disk_that_stays_full_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full(100, monkeypatch, tmp_path)
    with pytest.raises(StoppedError, match=r"trained model is not saved in .*: its disk is full") as caught:
        short_runs.run(tmp_path, *SHORT, "--wait_for_disk", "0")
    assert "\n" not in str(caught.value)


def test_a_rollout_that_was_not_judged_leaves_its_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer of eight is undecided: its tokens are not trained on, its format counts for nothing."""
    seen = []
    real = TokenCreditTrainer._leave_out

    def leave_out(self, rollouts, advantages, scores, out):
        result = real(self, rollouts, advantages, scores, out)
        seen.append((self.rollout_batch.rewards.clone(), out["completion_mask"].sum(1), advantages))
        return result

    monkeypatch.setattr(TokenCreditTrainer, "_leave_out", leave_out)
    verdicts = []

    def undecided(items, **more):
        found = real_grade(items, **more)
        verdicts.append(len(found))
        return [Verdict(None, None, "undecided", "the grading process stopped"), *found[1:]]

    from sightline.rewards import Verdict, functions

    real_grade = functions.grade_any
    monkeypatch.setattr(functions, "grade_any", undecided)
    said: list[str] = []
    rewards = ("--rewards", "accuracy,format", "--max_rounds", "1")
    short_runs.run(tmp_path, *SHORT, *rewards, said=said)
    given, lengths, advantages = seen[0]
    assert given[0].isnan().all() and not given[1:].isnan().any()
    assert lengths[0] == 0 and (lengths[1:] > 0).all()
    assert advantages[0] == 0
    row = short_runs.metrics(tmp_path)[0]
    assert row["undecided"] == 1 / verdicts[0]
    assert row["incidents/rows_left_out"] == 1
    assert sum("could not be judged" in line for line in said) == 1
