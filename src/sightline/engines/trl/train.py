"""Settings, a model and a task -> a trained model. The only place that knows how TRL is driven."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl.trainer.utils import get_peft_config

from ...errors import UserError
from ...models.families import placeholder_ids
from ...models.loading import LoadedModel
from ...runs import RunFolder
from ...tasks.problem import Problem, Task
from .callbacks import CleanStop, MetricsFile, Progress
from .rewards import reward_functions, reward_weights
from .rows import training_rows
from .settings import Settings
from .trainer import PerceptionTrainer, last_checkpoint


@dataclass(frozen=True)
class Trained:
    """How training ended."""

    steps: int
    interrupted_by: signal.Signals | None
    checkpoint: Path | None
    """The last checkpoint, if any was saved."""
    model: LoadedModel
    """The trained model; adapters are merged into it."""


def make_trainer(
    settings: Settings, loaded: LoadedModel, task: Task, problems: Sequence[Problem], **kwargs: Any
) -> PerceptionTrainer:
    """A trainer ready to run. Multimodal placeholders are banned from sampling on every path.

    Raises:
        UserError: the task has no rows, or fewer than one rollout batch needs.
    """
    args: Any = settings.train
    banned = placeholder_ids(loaded.model.config)
    args.generation_kwargs = {"suppress_tokens": banned or None} | dict(args.generation_kwargs or {})
    needed = args.generation_batch_size // args.num_generations
    if 0 < len(problems) < needed:
        raise UserError(
            f"task {task.name!r} gives {len(problems)} training rows, but one rollout batch takes {needed} "
            f"prompts ({args.generation_batch_size} rollouts / {args.num_generations} per prompt); give more "
            "rows or lower per_device_train_batch_size, gradient_accumulation_steps or generation_batch_size"
        )
    weights = reward_weights(args.rewards, args.reward_weights)
    rewards, args.reward_weights = reward_functions(
        weights, settings.method.objective, args.max_completion_length
    )
    trainer = PerceptionTrainer(
        method=settings.method,
        args=args,
        model=loaded.model,
        reward_funcs=rewards,
        train_dataset=training_rows(task, problems),
        processing_class=loaded.processor,
        peft_config=get_peft_config(settings.model),
        **kwargs,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def train(
    settings: Settings, loaded: LoadedModel, task: Task, problems: Sequence[Problem], folder: RunFolder
) -> Trained:
    """Train `loaded.model` in place, leaving checkpoints and metrics.jsonl in `folder`."""
    stop = CleanStop()
    callbacks = [MetricsFile(folder.metrics), Progress(settings.method.name), stop]
    trainer = make_trainer(settings, loaded, task, problems, callbacks=callbacks)
    start = last_checkpoint(folder.path) if settings.train.resume else None
    try:
        trainer.train(resume_from_checkpoint=None if start is None else str(start))
    finally:
        stop.restore()
    interrupted = None if stop.requested is None else signal.Signals(stop.requested)
    finished = trainer.state.global_step >= trainer.state.max_steps
    stopped = None if finished else interrupted
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    if stopped is None and hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    trained = replace(loaded, model=model)
    return Trained(trainer.state.global_step, stopped, last_checkpoint(folder.path), trained)
