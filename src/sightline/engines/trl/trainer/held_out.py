"""Held-out problems measured amid training, through the model as it is sampled from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl.models.utils import unwrap_model_for_generation

from ....models.loading import LoadedModel
from ....models.scoring.micro_batches import is_sharded
from ...metric_names import HELD_OUT
from ...validation import Validation, validated
from ..state.reference_model import is_zero3
from .prompt_sharing import without_wrapping

log = logging.getLogger(__name__)


def held_out_metrics(trainer: Any, validation: Validation) -> dict[str, float]:
    """`eval_accuracy`, `eval_reward` and the rest of all held-out problems under the current weights."""
    args, state = trainer.args, trainer.state
    together = is_sharded(without_wrapping(trainer.model)) or is_zero3(args)
    with (
        unwrap_model_for_generation(
            trainer.model_wrapped,
            trainer.accelerator,
            gather_deepspeed3_params=args.ds3_gather_for_generation,
            gradient_checkpointing_kwargs=args.gradient_checkpointing_kwargs,
        ) as unwrapped,
        torch.no_grad(),
        trainer._dist.summon_full_params(trainer.model_wrapped, recurse=False),
    ):

        def answering(model: Any) -> dict[str, float]:
            loaded = LoadedModel(model, trainer.processing_class, str(args.model))
            where = {"step": state.global_step, "steps": state.max_steps}
            return validated(validation, loaded, trainer.ranks, together=together, **where)

        found = unwrapped(inside=answering)
    shown = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
    log.info("step %d: %s", state.global_step, shown)
    return found


def best_checkpoint(trainer: Any) -> Path | None:
    """The checkpoint of the step whose held-out metric was the best so far; None before the first."""
    step = trainer.state.best_global_step
    return Path(trainer.args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{step}" if step else None


def describe_best(trainer: Any) -> str:
    """One line: which step's weights are the model, and why."""
    name = str(trainer.args.metric_for_best_model).removeprefix(HELD_OUT)
    return (
        f"the model is that of step {trainer.state.best_global_step}: its held-out {name}, "
        f"{trainer.state.best_metric:.4g}, is the best of all"
    )
