"""A trainer that plays stored responses back instead of sampling, on the embedded model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sightline.engines.trl.data.dataset import training_rows
from sightline.engines.trl.settings.resolve import Settings, parse
from sightline.engines.trl.trainer.trainer import TokenCreditTrainer
from sightline.models.generation.generate import Decoding, Prompt, generate
from sightline.models.loading import LoadedModel, load_model
from sightline.tasks import ShapesTask

PROMPTS, GROUP = 2, 4


def settings(folder: Path, method: str, options: dict[str, Any], *flags: str) -> Settings:
    """Settings of a short run on the embedded model; one rollout batch of 8 rows a step."""
    return parse(
        [
            *("--model", "embedded", "--method", method, "--method_options", json.dumps(options)),
            *("--output_dir", str(folder), "--use_cpu", "--bf16", "false", "--seed", "3"),
            *("--per_device_train_batch_size", str(PROMPTS * GROUP), "--num_generations", str(GROUP)),
            *("--max_completion_length", "40", "--no_gradient_checkpointing", "--save_strategy", "no"),
            *("--disable_tqdm", "true", "--learning_rate", "1e-3", "--lr_scheduler_type", "constant", *flags),
        ]
    )


def sampled_responses(
    loaded: LoadedModel, batches: int, seed: int = 5, temperature: float = 1.0
) -> list[list[list[int]]]:
    """Token ids of `GROUP` sampled responses to each training problem, in the order training reads them."""
    task = ShapesTask()
    problems = task.train(PROMPTS * batches, 3)
    prompts = [Prompt(task.messages(p), p.images) for p in problems for _ in range(GROUP)]
    decoding = Decoding(max_new_tokens=40, temperature=temperature, seed=seed)
    ids = [answer.token_ids for answer in generate(loaded.model, loaded.processor, prompts, decoding)]
    size = PROMPTS * GROUP
    return [ids[start : start + size] for start in range(0, len(ids), size)]


class StoredTrainer(TokenCreditTrainer):
    """Rollout batch k is `stored[k]`; row i of every batch is rewarded with `rewards[i]`."""

    def __init__(self, stored: Sequence[list[list[int]]], **kwargs: Any):
        super().__init__(**kwargs)
        self.stored = list(stored)
        self.played = 0

    def _generate_single_turn(self, *_: Any, **__: Any) -> Any:
        self.played += 1
        return self.stored[self.played - 1], None


def stored_trainer(
    run: Settings, stored: Sequence[list[list[int]]], rewards: Sequence[float], callbacks: Sequence[Any] = ()
) -> StoredTrainer:
    """A trainer on a fresh copy of the embedded model, float32."""
    loaded = load_model("embedded", torch.float32)

    def reward(completions: list[Any], **_: Any) -> list[float]:
        return list(rewards)[: len(completions)]

    return StoredTrainer(
        stored,
        method=run.method,
        args=run.train,
        model=loaded.model,
        processing_class=loaded.processor,
        reward_funcs=[reward],
        train_dataset=training_rows(ShapesTask(), ShapesTask().train(PROMPTS * len(stored), 3)),
        callbacks=list(callbacks),
    )
