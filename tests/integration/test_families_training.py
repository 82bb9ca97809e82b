"""Families from sampling to the optimizer: two steps of four methods, and the numbers that the loss sees."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from stored_rollouts import settings
from tiny_models import build
from torch import Tensor

from sightline.engines.trl.data.dataset import training_rows
from sightline.engines.trl.trainer.trainer import TokenCreditTrainer
from sightline.models.families import image_features_inputs, process_images, type_ids
from sightline.tasks import ShapesTask

pytestmark = pytest.mark.slow

FAMILIES = ("gemma4", "cohere2_vision", "lfm2_vl", "qwen3_5")
"""Those whose images, caches or layers are unlike the Qwen families'."""


@torch.no_grad()
def plain(model: Any, processor: Any, row: dict[str, Any], temperature: float) -> Tensor:
    """log π [T] of a rollout from the model's own forward over it alone."""
    ids = torch.cat([row["prompt"], row["completion"]])[None]
    vision = image_features_inputs(model, process_images(processor, row["images"]))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **vision, **type_ids(model, ids)}
    count = len(row["completion"])
    logits = model(**inputs, use_cache=False).logits[0, -count - 1 : -1].float() / temperature
    return logits.log_softmax(-1).gather(-1, row["completion"][:, None])[:, 0]


class Watched(TokenCreditTrainer):
    """Keeps how far the scoring pass's log-probs, as the first loss has them, are from a plain forward."""

    apart: float | None = None
    problems: Any = ()

    def _shown(self, prompt: Tensor) -> list[Any]:
        processor: Any = self.processing_class
        text = processor.tokenizer.decode(prompt.tolist())
        return next(list(one.images) for one in self.problems if one.question in text)

    def _compute_loss(self, model: Any, inputs: Any) -> Tensor:
        if self.apart is None and inputs.get("old_per_token_logps") is not None:
            model.eval()
            pairs = []
            for number, mask in enumerate(inputs["completion_mask"].bool()):
                if not mask.any():  # its response held a placeholder
                    continue
                row = {
                    "prompt": inputs["prompt_ids"][number][inputs["prompt_mask"][number].bool()],
                    "completion": inputs["completion_ids"][number][mask],
                    "images": self._shown(inputs["prompt_ids"][number]),
                }
                wanted = plain(model, self.processing_class, row, self.args.temperature)
                apart = (inputs["old_per_token_logps"][number][mask] - wanted).abs() / (1 + wanted.abs())
                pairs.append(apart.max())
            self.apart = float(torch.stack(pairs).max())
            model.train()
        return super()._compute_loss(model, inputs)


@pytest.mark.parametrize("method", ["grpo", "vgpo", "vppo", "pgpo"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_method_trains_every_family(family: str, method: str, tmp_path: Path) -> None:
    model, processor = build(family)
    flags = [
        "--max_steps", "2", "--num_iterations", "2", "--max_completion_length", "5", "--num_generations", "2",
        "--per_device_train_batch_size", "4", "--logging_steps", "1", "--blind_every", "0",
        "--no_shuffle_dataset", "--learning_rate", "1e-2",
    ]  # fmt: skip
    run = settings(tmp_path, method, {}, *flags)
    problems = list({one.question: one for one in ShapesTask().train(8, 3)}.values())[:2]

    def reward(completions: list[Any], **_: Any) -> list[float]:
        return [float(number % 2) for number in range(len(completions))]

    trainer = Watched(
        method=run.method,
        args=run.train,
        model=model,
        processing_class=processor,
        reward_funcs=[reward],
        train_dataset=training_rows(ShapesTask(), problems),
    )
    trainer.problems = problems
    before = {name: value.clone() for name, value in model.named_parameters()}
    trainer.train()
    assert trainer.apart is not None
    assert trainer.apart < 1e-5
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 2
    assert all(math.isfinite(float(entry["loss"])) for entry in logged)
    moved = [name for name, value in model.named_parameters() if not torch.equal(value, before[name])]
    assert any("vision" in name or "visual" in name for name in moved), "gradients reach the tower"
    assert any("layers" in name and "vis" not in name for name in moved)
