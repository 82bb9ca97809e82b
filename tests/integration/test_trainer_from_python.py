"""`sightline.Trainer`: the numbers of the command line, with objects of the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset, DatasetDict
from transformers import TrainerCallback
from trl.trainer.grpo_config import GRPOConfig

import sightline
from sightline import UserError
from sightline.cli import main
from sightline.engines.trl.settings.config import TrainConfig
from sightline.engines.trl.trainer.trainer import TokenCreditTrainer
from sightline.models.loading import load_model
from sightline.tasks import load_task

DEMO = Path(__file__).parents[2] / "recipes" / "demo.yaml"
SMALL: dict[str, Any] = {
    "max_steps": 2, "per_device_train_batch_size": 16, "eval_problems": 4, "report_problems": 2,
    "max_completion_length": 32,
}  # fmt: skip


def metrics(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if "time" not in k and "second" not in k} for row in rows]


def test_the_numbers_are_those_of_the_command_line(tmp_path: Path) -> None:
    here, there = tmp_path / "python", tmp_path / "command"
    trainer = sightline.Trainer(config=DEMO, output_dir=str(here), **SMALL)
    done = trainer.train()
    flags = [word for name, value in SMALL.items() for word in (f"--{name}", str(value))]
    assert main(["train", "--config", str(DEMO), "--output_dir", str(there), *flags]) == 0
    assert done.steps == 2
    assert metrics(here) == metrics(there)
    assert (
        json.loads((here / "eval.json").read_text())["after"]
        == (json.loads((there / "eval.json").read_text())["after"])
    )
    assert (here / "report.html").is_file()
    assert trainer.metrics["step"].tolist() == [1, 2]
    settings = yaml.safe_load((here / "config.yaml").read_text())
    assert settings["set_by"]["max_steps"] == "python"
    again = sightline.Trainer(config=here / "config.yaml", output_dir=str(tmp_path / "again"))
    assert again.settings.train.max_steps == 2, "a run's own config repeats it"


class Steps(TrainerCallback):
    """Counts optimizer steps."""

    done = 0

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.done += 1


def drawn(count: int, start: int = 0) -> Dataset:
    """Problems of the embedded world as rows of a set in memory."""
    problems = load_task("shapes").train(start + count, 0)
    chosen = [problems[place] for place in range(start, start + count)]
    return Dataset.from_dict(
        {
            "question": [one.question for one in chosen],
            "images": [list(one.images) for one in chosen],
            "answer": [one.answer for one in chosen],
            "level": list(range(count)),
        }
    )


def test_own_method_rewards_data_callbacks_and_model(tmp_path: Path) -> None:
    seen: list[Any] = []

    def brief(completions: list[Any], level: list[int], **columns: Any) -> list[float]:
        seen.extend(level)
        return [1 / (1 + len(str(completion))) for completion in completions]

    mine = sightline.method(
        "custom",
        signal="visual_focus",
        shapings=[{"name": "mass_conserving_gate", "threshold": 0.4, "boost": 2.0}],
        objective="grpo",
    )
    data, steps, loaded = (
        DatasetDict({"train": drawn(32), "test": drawn(4, 32)}),
        Steps(),
        load_model("embedded"),
    )
    trainer = sightline.Trainer(
        loaded.model, data, mine, {"accuracy": 0.9, brief: 0.1},
        processor=loaded.processor, config=DEMO, callbacks=[steps],
        output_dir=str(tmp_path / "run"), **SMALL,
    )  # fmt: skip
    assert trainer.settings.train.epsilon_high == mine.objective.clip_high
    assert trainer.settings.train.loss_type == "grpo"
    before = next(loaded.model.parameters()).detach().clone()
    assert trainer.train().steps == steps.done == 2
    assert "rewards/brief/mean" in trainer.metrics
    assert set(seen) <= set(range(32))
    assert seen
    assert trainer.model is not None
    assert not before.equal(next(loaded.model.parameters())), "the given model was trained"
    record = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert record["task"]["name"] == "DatasetDict"
    assert record["rewards"] == {"accuracy": 0.9, "brief": 0.1}
    assert trainer.results["after"]["greedy"]["n"] == 4
    assert "brief" in str(trainer.results["after"]), "own rewards are measured before and after"
    again = sightline.Trainer(
        loaded.model, data, mine, {"accuracy": 0.9, brief: 0.1},
        processor=loaded.processor, config=DEMO, resume=True, output_dir=str(tmp_path / "run"), **SMALL,
    )  # fmt: skip
    done = again.train()
    assert done.steps == 2, "a finished run is loaded"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_step": 3}, "Trainer: unknown setting 'max_step'"),
        ({"method": "vgop"}, "did you mean vgpo"),
        ({"dataset_name": "me/mine"}, "it is task here"),
        ({"rewards": [len, len.__class__]}, "two rewards are called"),
        ({"learning_rate": "fast"}, "learning_rate cannot be 'fast'"),
        ({"engine": "verl", "rewards": len}, "verl"),
    ],
)
def test_mistakes_are_one_line(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    if said.startswith("two"):
        given = {"rewards": [lambda completions: [], lambda completions: []]}
    with pytest.raises(UserError, match=said):
        sightline.Trainer(config=DEMO, output_dir=str(tmp_path / "run"), **given)
    assert not (tmp_path / "run").exists()


def test_a_models_processor_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs its processor"):
        sightline.Trainer(load_model("embedded").model, config=DEMO, output_dir=str(tmp_path / "run"))


def built(tmp_path: Path, args: Any) -> TokenCreditTrainer:
    """A trainer as a script of TRL's would make it."""
    loaded = load_model("embedded")
    rows = {"prompt": [[{"role": "user", "content": "How many?"}]], "answer": ["3"]}
    return TokenCreditTrainer(
        method=sightline.method("vgpo"), model=loaded.model, args=args, train_dataset=Dataset.from_dict(rows),
        reward_funcs=lambda completions, **_: [0.0] * len(completions), processing_class=loaded.processor,
    )  # fmt: skip


def test_the_objective_holds_whichever_way_a_trainer_is_built(tmp_path: Path) -> None:
    common: dict[str, Any] = {
        "output_dir": str(tmp_path), "use_cpu": True, "bf16": False, "num_generations": 2,
        "per_device_train_batch_size": 2, "report_to": "none",
    }  # fmt: skip
    trainer = built(tmp_path, TrainConfig(**common))
    assert (trainer.epsilon_low, trainer.epsilon_high) == (0.2, 0.28)
    assert built(tmp_path, TrainConfig(**common, epsilon_high=0.25)).epsilon_high == 0.25, "given stays"
    with pytest.raises(UserError, match="args must be a TrainConfig"):
        built(tmp_path, GRPOConfig(**common))
