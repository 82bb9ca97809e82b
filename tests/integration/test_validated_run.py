"""`eval_strategy`: held-out accuracy and rewards during training, which change none of its numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

import sightline
from sightline.cli import main
from sightline.run_folder import FolderLock

REWARDS = """
import random
async def fading(completions, trainer_state, box, log_extra, **columns):
    random.random()
    log_extra("first", [corner[0] for corner in box])
    return [{"reward": -float(trainer_state.global_step), "words": len(text[-1]["content"].split())}
            for text in completions]
"""
VALIDATED = ["--eval_strategy", "steps", "--eval_steps", "2"]
FADING = ["--metric_for_best_model", "rewards/fading/mean"]
BEST = ["--load_best_model_at_end", *FADING, "--save_total_limit", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of one's own with paths of images and boxes, and a reward that reads them."""
    from sightline.tasks import ShapesTask

    folder, task = tmp_path_factory.mktemp("own"), ShapesTask()
    (folder / "images").mkdir()
    for name, problems in (("rows", task.train(16, 0)), ("held_out", task.test(12, 0))):
        rows = []
        for number, problem in enumerate(problems):
            path = f"images/{name}-{number}.png"
            problem.images[0].save(folder / path)
            row = {"image": path, "question": problem.question, "answer": problem.answer}
            rows.append(json.dumps(row | {"box": [number, 2, 3.5, 4]}))
        (folder / f"{name}.jsonl").write_text("\n".join(rows))
    (folder / "rewards.py").write_text(REWARDS)
    return folder


def flags(data: Path, folder: Path, *more: str) -> list[str]:
    task = {"source": str(data / "rows.jsonl"), "test": {"source": str(data / "held_out.jsonl")}}
    rewards = {"accuracy": 1.0, f"{data / 'rewards.py'}:fading": 0.0}
    return [
        *("train", "--model", "embedded", "--task", json.dumps(task), "--prompt_template", "plain"),
        *("--rewards", json.dumps(rewards), "--method", "vgpo", "--use_cpu", "--bf16", "false"),
        *("--no_gradient_checkpointing", "--seed", "3", "--num_generations", "4", "--max_steps", "4"),
        *("--per_device_train_batch_size", "16", "--max_completion_length", "24", "--learning_rate", "1e-3"),
        *("--eval_problems", "12", "--report_problems", "2", "--save_steps", "2", "--log_completions"),
        *("--num_completions_to_print", "1", "--output_dir", str(folder), *more),
    ]


def rows(folder: Path, held_out: bool = True) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in row.items() if k != "seconds" and (held_out or k[:5] != "eval_")} for row in lines
    ]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("validated") / "run"
    assert main(flags(data, folder, *VALIDATED, *BEST)) == 0
    return folder


def test_accuracy_and_rewards_stand_in_the_lines_of_their_steps(whole: Path) -> None:
    found = rows(whole)
    assert [row["step"] for row in found] == [1, 2, 3, 4]
    assert [row["step"] for row in found if "eval_accuracy" in row] == [2, 4]
    for row in found[1::2]:
        assert 0 <= row["eval_accuracy/low"] <= row["eval_accuracy"] <= row["eval_accuracy/high"] <= 1
        assert row["eval_reward"] == row["eval_accuracy"]  # the other reward weighs 0
        assert row["eval_rewards/fading/mean"] == -row["step"]
    report = (whole / "report.html").read_text()
    assert "Held-out accuracy" in report and "uprights" in report and "words <b" in report


def test_the_best_step_is_kept_and_is_the_model(whole: Path) -> None:
    assert sorted(path.name for path in whole.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    best, last, model = (weights(whole / name) for name in ("checkpoint-2", "checkpoint-4", "model"))
    assert all(torch.equal(best[name], model[name]) for name in model)
    assert any(not torch.equal(last[name], model[name]) for name in model)
    after = json.loads((whole / "eval.json").read_text())["after"]
    assert after["greedy"]["value"] == rows(whole)[1]["eval_accuracy"]  # measured by the same code
    assert after["rewards"]["fading"]["value"] == 0 and "accuracy" not in after["rewards"]
    card = (whole / "model" / "README.md").read_text()
    assert "after optimizer step 2." in card and "| greedy |" in card
    assert "| reward of greedy answers | before | after |" in card and "`fading`" in card


class Early(TrainerCallback):
    """Ends training after the second step, as EarlyStoppingCallback would."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop = state.global_step >= 2


def test_the_best_step_is_the_model_of_a_run_that_a_callback_ends(tmp_path: Path) -> None:
    def fading(completions: list[Any], trainer_state: Any, **columns: Any) -> list[float]:
        return [-float(trainer_state.global_step) + len(str(one)) * 1e-6 for one in completions]

    trainer = sightline.Trainer(
        "embedded", "shapes", "grpo", fading, callbacks=[Early()], output_dir=str(tmp_path / "run"),
        max_steps=4, num_generations=4, per_device_train_batch_size=8, max_completion_length=16, use_cpu=True,
        bf16=False, gradient_checkpointing=False, learning_rate=1e-3, eval_problems=2, report_problems=1,
        eval_strategy="steps", eval_steps=1, save_steps=1, load_best_model_at_end=True,
        metric_for_best_model="reward",
    )  # fmt: skip
    done = trainer.train()
    assert (done.steps, done.model_step, done.interrupted_by) == (2, 1, None)
    best, last, model = (
        weights(tmp_path / "run" / name) for name in ("checkpoint-1", "checkpoint-2", "model")
    )
    assert all(torch.equal(best[name], model[name]) for name in model)
    assert any(not torch.equal(last[name], model[name]) for name in model)


def test_it_changes_no_number_of_the_training(data: Path, whole: Path, tmp_path: Path) -> None:
    assert main(flags(data, tmp_path / "plain", "--eval_problems", "0")) == 0
    assert rows(tmp_path / "plain") == rows(whole, held_out=False)
    found, wanted = (weights(folder / "checkpoint-4") for folder in (tmp_path / "plain", whole))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_resumed_run_measures_what_an_uninterrupted_one_does(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    FolderLock(cut).close()
    shutil.copytree(whole / "checkpoint-2", cut / "checkpoint-2")
    lines = (whole / "metrics.jsonl").read_text().splitlines(keepends=True)
    (cut / "metrics.jsonl").write_text("".join(lines[:3]))
    assert main(flags(data, cut, *VALIDATED, *BEST, "--resume")) == 0
    assert rows(cut) == rows(whole)
    found, wanted = (weights(folder / "model") for folder in (cut, whole))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_extras_stand_beside_the_rollouts_and_the_samples(whole: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(sorted((whole / "completions").glob("*.parquet"))[-1]).to_pydict()
    assert len(table["first"]) == len(table["words"]) == len(table["completion"]) == 16
    assert all(first in range(16) for first in table["first"])
    by_prompt = dict(zip(map(str, table["prompt"]), table["first"], strict=True))
    pairs = zip(map(str, table["prompt"]), table["first"], strict=True)
    assert len(by_prompt) == 4 and all(by_prompt[prompt] == first for prompt, first in pairs)
    (sample, _) = json.loads((whole / "samples.json").read_text())
    assert sample["after"]["extras"]["first"] == 0 and sample["after"]["rewards"]["fading"] == 0


def test_save_strategy_best_and_validation_at_the_start_and_by_epochs(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "best"
    more = ["--eval_strategy", "epoch", "--eval_on_start", "--save_strategy", "best", "--max_rounds", "1"]
    assert main(flags(data, folder, *more, *FADING, "--max_steps", "8")) == 0
    assert [row["step"] for row in rows(folder) if "eval_accuracy" in row] == [0, 4, 8]
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-4"]


def test_a_metric_that_nothing_measures_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["--load_best_model_at_end", "--metric_for_best_model", "rewards/fadign/mean"]
    assert main(flags(data, tmp_path / "run", *VALIDATED, *wrong)) == 2
    assert "did you mean rewards/fading/mean?" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
