"""The TRL and the verl engine on the same rollouts and weights: the same advantages and first gradient."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from stored_rollouts import StoredTrainer, settings

from sightline.engines.trl.data.dataset import training_rows
from sightline.models.loading import load_model
from sightline.tasks import ShapesTask

STORED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden/verl_step.json").read_text())
"""One rollout batch as the verl engine trained on it (tests/golden/make_verl_step.py)."""
TOLERANCE = 1e-5


class Watched(StoredTrainer):
    """Keeps what is trained on."""

    batch: dict[str, Any]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self.batch = super()._generate_and_score_completions(inputs)
        return dict(self.batch)


def rows() -> list[int]:
    """The stored rows by prompt and rollout, as TRL has them."""
    samples = list(dict.fromkeys(STORED["sample"]))
    places = range(len(STORED["sample"]))
    return sorted(places, key=lambda row: (samples.index(STORED["sample"][row]), STORED["rollout"][row]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    asked, order = STORED["settings"], rows()
    flags = {
        "per_device_train_batch_size": len(order), "num_generations": asked["num_generations"],
        "learning_rate": asked["learning_rate"], "seed": asked["seed"], "max_steps": 1, "max_rounds": 1,
        "shuffle_dataset": "false", "blind_every": 0,
    }  # fmt: skip
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    run = settings(tmp_path_factory.mktemp("agreement"), STORED["method"], {}, *words)
    problems = {problem.id: problem for problem in ShapesTask().train(asked["limit"], asked["seed"])}
    asked_for = [problems[sample] for sample in dict.fromkeys(STORED["sample"])]
    loaded = load_model("embedded", torch.float32)
    rewards = [STORED["reward"][row] for row in order]

    def reward(completions: Sequence[Any], **_: Any) -> list[float]:
        return rewards[: len(completions)]

    trainer = Watched(
        [[STORED["response"][row] for row in order]],
        method=run.method,
        args=run.train,
        model=loaded.model,
        processing_class=loaded.processor,
        reward_funcs=[reward],
        train_dataset=training_rows(ShapesTask(), asked_for),
    )
    trainer.train()
    return trainer


def test_advantages_of_every_token_agree(trained: Watched) -> None:
    found = trained.batch["advantages"]
    for place, row in enumerate(rows()):
        expected = torch.tensor(STORED["advantages"][row])
        assert torch.allclose(found[place, : len(expected)], expected, atol=TOLERANCE), (place, row)
    assert float(found.abs().max()) > 0.1


def test_the_first_loss_and_gradient_agree(trained: Watched) -> None:
    logged = next(row for row in trained.state.log_history if "grad_norm" in row)
    assert logged["loss"] == pytest.approx(STORED["metrics"]["loss"], abs=TOLERANCE)
    assert logged["grad_norm"] == pytest.approx(STORED["metrics"]["grad_norm"], rel=TOLERANCE)
