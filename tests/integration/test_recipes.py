"""Every recipe: parsed by the real parser, held against the published runs, and trained for three steps."""

from __future__ import annotations

import io
import json
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset, Features, Image, List, Value

from sightline.cli import main
from sightline.engines.reward_settings import reward_weights
from sightline.engines.trl.settings.resolve import Settings, parse
from sightline.tasks import ShapesTask

FOLDER = Path(__file__).parents[2] / "recipes"
PUBLISHED = yaml.safe_load((FOLDER / "published.yaml").read_text())
SMALL = ["vgpo-3b-lora-24gb"]
NAMES = sorted(
    path.stem for path in FOLDER.glob("*.yaml") if path.stem not in ("demo", "demo-verl", "published")
)

WITHOUT_A_GPU = ["--use_cpu", "true", "--bf16", "false", "--use_vllm", "false"]
LINE_OF = {"prompts": "steps_per_generation", "mini_batch_prompts": "gradient_accumulation_steps"} | {
    "batches": "max_steps"
}
"""The line of a recipe that decides what the table calls by another name."""


def path(name: str) -> Path:
    return FOLDER / f"{name}.yaml"


def settings(name: str) -> Settings:
    return parse(["--config", str(path(name)), *WITHOUT_A_GPU])


def gpus(name: str) -> int:
    found = re.search(r"^# Wants (\d+) GPU", path(name).read_text(), re.MULTILINE)
    assert found, f"{name} does not say what it wants"
    return int(found[1])


def published(chosen: Settings) -> dict[str, Any]:
    """The one published run with this method, objective and model."""
    objective = chosen.method.objective.name
    found = [
        {**PUBLISHED["every_run"], **run}
        for run in PUBLISHED["runs"]
        if chosen.method.name == run["method"]
        and chosen.train.model in run["models"]
        and run.get("objective", objective) == objective
    ]
    assert len(found) == 1
    return found[0]


def resolved(chosen: Settings, processes: int) -> dict[str, Any]:
    """What the recipe comes to, under the table's names."""
    args, method = chosen.train, chosen.method
    terms = {term.name: term.coefficient for term in method.terms}
    rows = args.per_device_train_batch_size * processes
    same = ["learning_rate", "weight_decay", "max_grad_norm", "temperature", "top_p", "max_prompt_length"]
    same += ["epsilon", "epsilon_high", "freeze_vision", "num_generations", "max_completion_length"]
    same += ["min_pixels", "max_pixels"]
    return {name: getattr(args, name) for name in same} | {
        "lr_scheduler_type": str(args.lr_scheduler_type.value),
        "mini_batch_prompts": rows * args.gradient_accumulation_steps / args.num_generations,
        "prompts": rows * args.steps_per_generation / args.num_generations,
        "batches": args.max_steps * args.gradient_accumulation_steps / args.steps_per_generation,
        "reference_kl": args.beta,
        "entropy_penalty": terms.get("sampled_entropy", method.objective.entropy_penalty),
        "perception_kl": -terms.get("perception_kl", 0.0),
        "robustness_kl": terms.get("robustness_kl", 0.0),
        "rewards": reward_weights(args.rewards, args.reward_weights),
    }


def departures(name: str) -> set[str]:
    """The settings whose line says that it departs from the paper, each with a reason."""
    return set(re.findall(r"^(\w+):.*# departs: \w+", path(name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_the_published_run_but_for_what_it_says(name: str) -> None:
    chosen = settings(name)
    run, found = published(chosen), resolved(chosen, gpus(name))
    other = {LINE_OF.get(key, key) for key, value in found.items() if value != run.get(key, 0.0)}
    said = departures(name)
    assert other <= said
    table = {LINE_OF.get(key, key) for key in found}
    assert (said - other) & table == set(), "these lines depart from nothing"
    assert said == set() or name in SMALL


@pytest.mark.parametrize("run", PUBLISHED["runs"], ids=lambda run: run["run"])
def test_a_published_run_has_a_recipe_for_each_model(run: dict[str, Any]) -> None:
    for model in run["models"]:
        found = [
            name
            for name in NAMES
            if name not in SMALL
            and settings(name).train.model == model
            and published(settings(name))["run"] == run["run"]
        ]
        assert len(found) == 1, (run["run"], model, found)


@pytest.mark.parametrize("run", PUBLISHED["runs"], ids=lambda run: run["run"])
def test_the_batches_of_a_published_run_are_its_epochs(run: dict[str, Any]) -> None:
    every = {**PUBLISHED["every_run"], **run}
    if every["epochs"] is None:  # the paper gives the batches themselves
        return
    whole = every["epochs"] * (every["dataset_prompts"] // run["prompts"])
    assert run["batches"] == (130 if run["run"] == "VPPO Qwen3" else whole)


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_fall_between_rollout_batches(name: str) -> None:
    args = settings(name).train
    assert args.save_steps * args.gradient_accumulation_steps % args.steps_per_generation == 0


# --- three steps -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems of the Shapes world as rows of ViRL39K: images, problem with a marker, answer."""
    problems = ShapesTask().train(24, 0)
    rows: dict[str, list[Any]] = {"images": [], "problem": [], "answer": []}
    for problem in problems[:]:
        held = io.BytesIO()
        problem.images[0].save(held, "PNG")
        rows["images"].append([held.getvalue()])
        rows["problem"].append(f"<image>{problem.question}")
        rows["answer"].append(problem.answer)
    features = Features({"images": List(Image()), "problem": Value("string"), "answer": Value("string")})
    file = tmp_path_factory.mktemp("shapes") / "train.parquet"
    Dataset.from_dict(rows, features=features).to_parquet(str(file))
    return file


def overrides(name: str, rows: Path, folder: Path) -> list[str]:
    """All that is changed of a recipe to run it here: the model, the rows, and sizes."""
    args = settings(name).train
    steps = args.steps_per_generation // args.gradient_accumulation_steps
    changed = {
        "model": "embedded",
        "task": rows,
        "prompt_template": "plain",  # the embedded model knows few words
        "min_pixels": 64 * 64,
        "max_pixels": 64 * 64,
        "max_completion_length": 40,
        # One prompt a micro-batch, two an optimizer step, and as many steps a rollout batch as the recipe.
        "per_device_train_batch_size": args.num_generations,
        "gradient_accumulation_steps": 2,
        "steps_per_generation": 2 * steps,
        "max_steps": 3,
        "max_rounds": 2,
        "save_strategy": "no",
        "output_dir": folder,
    }
    return [*WITHOUT_A_GPU, *(str(word) for key, value in changed.items() for word in (f"--{key}", value))]


@pytest.fixture
def closed_logs() -> Iterator[None]:
    """A run's log.txt stays open as long as the process lives, which here is longer than the run."""
    _close_logs()
    yield
    _close_logs()


def _close_logs() -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, logging.FileHandler)]:
        root.removeHandler(handler)
        handler.close()


@pytest.mark.slow
@pytest.mark.usefixtures("closed_logs")
@pytest.mark.parametrize("name", NAMES)
def test_three_steps_have_gradients(name: str, shapes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    argv = ["train", "--config", str(path(name)), *overrides(name, shapes, folder)]
    assert main(argv) == 0
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    train = settings(name).train
    for line in lines:
        assert line["grad_norm"] > 0
        done = (line["step"] - 1) / len(lines) if train.lr_scheduler_type == "cosine" else 0.0
        expected = train.learning_rate * (1 + math.cos(math.pi * done)) / 2
        assert line["learning_rate"] == pytest.approx(expected)
