"""A run that was stopped goes on with the numbers of one that was not."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import short_runs
import torch

from sightline.cli.train import _open
from sightline.engines.checkpoints import STAGING, StoppedError, checkpoints, fault
from sightline.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """A run that was never stopped: its folder with all checkpoints, and its final weights."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    trained = short_runs.run(folder)
    return folder, short_runs.weights(trained)


def assert_same(
    folder: Path, trained: short_runs.Trained, whole: tuple[Path, dict[str, torch.Tensor]]
) -> None:
    assert short_runs.metrics(folder) == short_runs.metrics(whole[0])
    for name, value in short_runs.weights(trained).items():
        assert torch.equal(value, whole[1][name]), name


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(3, id="rollouts half used"),
        pytest.param(8, id="between two rollout batches"),
        pytest.param(13, id="second epoch"),
    ],
)
def test_same_numbers_to_the_last_digit(
    step: int, whole: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    folder = short_runs.restart(whole[0], step, tmp_path / "run")
    trained = short_runs.run(folder, "--resume")
    assert_same(folder, trained, whole)


def test_second_epoch_of_a_loader_s_order(tmp_path: Path) -> None:
    """Without informative groups TRL's loader chooses prompts, and shuffles every epoch anew."""
    flags = ("--method", "grpo", "--save_steps", "12")
    short_runs.run(tmp_path / "whole", *flags)
    cut = short_runs.restart(tmp_path / "whole", 12, tmp_path / "cut")
    short_runs.run(cut, *flags, "--resume")
    assert short_runs.metrics(cut) == short_runs.metrics(tmp_path / "whole")


def test_prompts_that_are_shuffled_whole(tmp_path: Path) -> None:
    """Four prompts a rollout batch, two steps of two of them, twice over; stopped after the third step."""
    flags = ("--shuffle_by", "prompt", "--per_device_train_batch_size", "8", "--max_steps", "5")
    trained = short_runs.run(tmp_path / "whole", *flags)
    wanted = (tmp_path / "whole", short_runs.weights(trained))
    cut = short_runs.restart(tmp_path / "whole", 3, tmp_path / "cut")
    assert_same(cut, short_runs.run(cut, *flags, "--resume"), wanted)
    short_runs.run(tmp_path / "rows", *flags[2:], "--shuffle_by", "rollout")
    norms = [[row["grad_norm"] for row in short_runs.metrics(tmp_path / name)] for name in ("whole", "rows")]
    assert norms[0] != norms[1], "rows that TRL shuffles make other steps"


def test_the_same_batches_in_other_micro_batches(
    whole: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    """As a run goes on with other processes: the next rollout batch comes when it would have come."""
    halves = ("--per_device_train_batch_size", "2", "--steps_per_generation", "4")
    halves += ("--gradient_accumulation_steps", "2", "--max_steps", "10")
    folder = short_runs.restart(whole[0], 4, tmp_path / "run")
    short_runs.run(folder, *halves, "--resume")
    found, wanted = (short_runs.metrics(one)[4:10] for one in (folder, whole[0]))
    assert len(found) == 6
    assert [row["step"] for row in found if "reward" in row] == [5, 9]
    for one, other in zip(found[:2], wanted[:2], strict=True):  # rounding then grows, update by update
        for name in other.keys() & {"reward", "accuracy", "grad_norm"}:
            assert one[name] == pytest.approx(other[name], rel=1e-3, abs=1e-5), (one["step"], name)
    amid = short_runs.restart(whole[0], 3, tmp_path / "amid")
    with pytest.raises(UserError, match=r"amid a rollout batch by 1 processes of 4 micro-batches each"):
        short_runs.run(amid, *halves, "--resume")


def test_a_run_that_was_done_trains_no_further(
    whole: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    folder = short_runs.restart(whole[0], 14, tmp_path / "run")
    trained = short_runs.run(folder, "--resume")
    assert trained.steps == 14
    assert_same(folder, trained, whole)


def test_a_run_that_starts_from_another_s_checkpoint(
    whole: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    given = ("--resume_from_checkpoint", str(whole[0] / "checkpoint-3"))
    trained = short_runs.run(tmp_path / "run", *given)
    assert_same(tmp_path / "run", trained, whole)
    with pytest.raises(UserError, match="has checkpoints of its own, such as checkpoint-14"):
        short_runs.run(tmp_path / "run", *given, "--resume")


def test_a_checkpoint_that_cannot_be_started_from(
    whole: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    folder, start = tmp_path / "run", "--resume_from_checkpoint"
    with pytest.raises(UserError, match="does not exist"):
        short_runs.run(folder, start, str(tmp_path / "none"))
    shutil.copytree(whole[0] / "checkpoint-3", tmp_path / "checkpoint-3")
    (tmp_path / "checkpoint-3" / "manifest.json").unlink()  # as stock TRL would leave it
    with pytest.raises(UserError, match=r"no whole checkpoint of Sightline, it has no manifest\.json"):
        short_runs.run(folder, start, str(tmp_path / "checkpoint-3"))
    shutil.copytree(whole[0] / "checkpoint-3", tmp_path / "checkpoint-4")
    (tmp_path / "checkpoint-4" / "run").mkdir(exist_ok=True)
    (tmp_path / "checkpoint-4" / "run" / "config.yaml").write_text("seed: 3\nmodel: embedded\n")
    with pytest.raises(UserError, match="seed 3 -> 4"):
        _open(short_runs.settings(tmp_path / "cli", "--seed", "4", start, str(tmp_path / "checkpoint-4")))
    assert short_runs.settings(folder, start, "true").train.resume


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    whole: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    folder = short_runs.restart(whole[0], 12, tmp_path / "run")
    shutil.copytree(whole[0] / "checkpoint-13", folder / "checkpoint-13")
    weights = folder / "checkpoint-13" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    said: list[str] = []
    trained = short_runs.run(folder, "--resume", said=said)
    assert any("checkpoint-13 is damaged: model.safetensors is not what was written" in line for line in said)
    assert any(line.startswith("resuming from ") and line.endswith("checkpoint-12") for line in said)
    assert_same(folder, trained, whole)
    assert fault(folder / "checkpoint-13") is None  # replaced by a whole one


def test_only_damaged_checkpoints(whole: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path) -> None:
    folder = short_runs.restart(whole[0], 3, tmp_path / "run")
    (folder / "checkpoint-3" / "optimizer.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"checkpoint-3 is damaged: optimizer\.pt has 0 bytes"):
        short_runs.run(folder, "--resume")


def test_weights_that_do_not_fit_are_refused(
    whole: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sightline.engines.trl import engine as training

    folder = short_runs.restart(whole[0], 8, tmp_path / "run")
    made = training.make_trainer

    def with_one_more(*args: object, **kwargs: object) -> object:
        trainer = made(*args, **kwargs)  # pyright: ignore[reportArgumentType]
        trainer.model.added = torch.nn.Linear(2, 2)
        return trainer

    monkeypatch.setattr(training, "make_trainer", with_one_more)
    with pytest.raises(RuntimeError, match=r"added\.weight"):
        short_runs.run(folder, "--resume")


def test_fewer_kept_checkpoints_and_nothing_else_left(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    short_runs.run(folder, "--max_steps", "4", "--save_total_limit", "2")
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-3", "checkpoint-4"]
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []
    files = {path.name for path in (folder / "checkpoint-4").rglob("*")}
    assert "training_args.bin" not in files  # a pickle


def test_killed_while_saving_and_while_sampling(
    whole: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    first = short_runs.start(*short_runs.flags(folder))
    short_runs.kill_when(first, lambda: (folder / STAGING / "checkpoint-6" / "optimizer.pt").exists())
    assert checkpoints(folder)[-1].name == "checkpoint-5"
    assert (folder / STAGING).exists()

    second = short_runs.start(*short_runs.flags(folder, "--resume"))
    short_runs.kill_when(second, lambda: (folder / "checkpoint-8").exists())
    assert not (folder / STAGING / "checkpoint-6").exists()

    trained = short_runs.run(folder, "--resume")
    assert_same(folder, trained, whole)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_continue(
    number: int, expected: int, whole: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = short_runs.start(*short_runs.flags(folder, "--save_strategy", "no"))
    while not (folder / "metrics.jsonl").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    os.kill(process.pid, number)
    code, errors = short_runs.finish(process)
    assert code == expected, errors
    (saved,) = checkpoints(folder)
    assert fault(saved) is None
    lines = errors.splitlines()
    assert any(f"saved {saved}" in line for line in lines)
    (line,) = [line for line in lines if line.startswith("continue with: sightline train ")]
    again = line.removeprefix("continue with: sightline train ").split()
    assert sorted(again) == sorted(short_runs.flags(folder, "--save_strategy", "no", "--resume"))
    trained = short_runs.run(folder, *again)
    assert_same(folder, trained, whole)


def test_a_full_disk_keeps_the_last_good_checkpoint(
    whole: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    folder = short_runs.restart(whole[0], 8, tmp_path / "run")
    limited = short_runs.start(*short_runs.flags(folder, "--resume"), limit_file_size=4_000_000)
    code, errors = short_runs.finish(limited)
    assert code == 1, errors
    (line,) = [line for line in errors.splitlines() if "training stopped" in line]
    assert "checkpoint-9 could not be saved" in line and "checkpoint-8" in line and "--resume" in line
    assert "Traceback" not in errors
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-8"]
    assert fault(folder / "checkpoint-8") is None
    assert not (folder / STAGING).exists()


def test_stopped_names_what_is_there(tmp_path: Path) -> None:
    assert "there is no checkpoint yet" in str(StoppedError("the disk is full", tmp_path))
