"""Extra loss terms beside TRL's policy loss, aggregated as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .... import masked


def aggregate(values: Tensor, mask: Tensor, args: Any, inputs: Mapping[str, Any], processes: int) -> Tensor:
    """A term's values [b, T] as TRL aggregates its policy loss under `args.loss_type` -> scalar.

    "dapo": sum over tokens / tokens of the optimizer step; "grpo": mean over rollouts of token means;
    "dr_grpo": sum / (rollouts · max_completion_length); any other: token mean of the micro-batch. All
    but the first are divided by the micro-batches of a step, which add up.
    """
    steps = args.gradient_accumulation_steps
    if args.loss_type == "dapo":
        per_step = inputs["num_items_in_batch"].clamp(min=1.0) * steps / args.steps_per_generation
        return masked.row_sum(values, mask).sum() * processes / per_step
    if args.loss_type == "grpo":
        return masked.row_mean(values, mask).mean() / steps
    if args.loss_type == "dr_grpo":
        return masked.row_sum(values, mask).sum() / (len(mask) * args.max_completion_length) / steps
    return masked.mean(values, mask) / steps
