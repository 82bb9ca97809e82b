"""What our parts of verl's processes are told: two sections of verl's configuration, as plain data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...methods import absolute_plugins
from ...models.families import placeholder_ids, placeholder_words
from ...models.loading import LoadedModel
from ...models.processors import response_opening
from ...rewards import reward
from ...rewards.functions import reads_whole_rows
from ...run_folder import RunFolder
from ..reward_settings import accuracy_column, reward_weights
from ..run_settings import data_options
from .reward_names import REWARD
from .settings.resolve import Settings

_HANDED_ON = ("seed", "max_rounds", "when_uninformative", "blind_every", "wait_for_disk", "updates",
              "max_skipped_steps", "save_total_limit")  # fmt: skip
_FOR_WARNINGS = ("warn_zero_rewards", "warn_zero_gradient", "warn_entropy", "warn_drift", "warn_blind",
                 "top_p", "top_k")  # fmt: skip


def total_steps(settings: Settings, problems: int) -> int:
    """Optimizer steps of the whole run."""
    train = settings.train
    if train.max_steps > 0:
        return train.max_steps
    batches = problems // (train.batch_rollouts // train.num_generations)
    return max(1, int(batches * train.num_train_epochs)) * train.updates


def sections_of(
    settings: Settings, loaded: LoadedModel, folder: RunFolder, problems: int, start: Path | None
) -> dict[str, Any]:
    """`sightline`, for the trainer, the rollouts and the rewards, and `data`, for the dataset.

    `start` is verl's folder in the checkpoint to resume from.
    """
    train, method, config = settings.train, settings.method, loaded.model.config
    rewards = reward_weights(train.rewards, train.reward_weights)
    asked = {name: getattr(train, name) for name in _HANDED_ON} | {
        "method": method.name,
        "options": dict(method.options),
        "plugins": absolute_plugins(train.plugins),
        "directory": os.getcwd(),
        "folder": str(folder.path.absolute()),
        "rewards": rewards,
        "opening": response_opening(loaded.processor),
        "accuracy": REWARD + _accuracy(settings, list(rewards)),
        "spare_dir": None if train.spare_dir is None else str(Path(train.spare_dir).absolute()),
        "model_bytes": sum(one.numel() * one.element_size() for one in loaded.model.parameters()),
        "never_sampled": placeholder_ids(config),
        "resume_from": None if start is None else str(start),
        "described": settings.describe_method(),
        "problems": problems,
        "total_steps": total_steps(settings, problems) // train.updates,
        "warn": {name: getattr(train, name) for name in _FOR_WARNINGS}
        | {"generation_batch_size": train.batch_rollouts},
    }
    data = {
        "directory": os.getcwd(),
        "task": train.task,
        "options": data_options(train),
        "limit": train.limit,
        "seed": train.seed,
        "eval_problems": train.eval_problems,
        "max_prompt_length": train.max_prompt_length,
        "placeholders": placeholder_words(loaded.processor, config),
        "whole_rows": reads_whole_rows(reward(name) for name in rewards),
    }
    return {"sightline": asked, "data": data}


def _accuracy(settings: Settings, rewards: list[str]) -> str:
    """The reward by which groups are judged informative; empty where none is."""
    groups = settings.method.objective.informative_groups
    if groups is None or groups.key != "accuracy" or settings.train.max_rounds < 2:
        return ""
    return rewards[accuracy_column(rewards)]
