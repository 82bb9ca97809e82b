"""A method's objective under the names of settings, which are TRL's, and in verl's words."""

from __future__ import annotations

from typing import Any

from ....objectives import Objective

LOSS_TYPES = {"token_mean": "dapo", "sequence_mean": "grpo", "fixed_length": "dr_grpo"}
AGGREGATIONS = {"dapo": "token-mean", "grpo": "seq-mean-token-mean", "dr_grpo": "seq-mean-token-sum-norm"}
"""`loss_type` -> verl's `loss_agg_mode`. verl's token mean is that of the whole optimizer step."""
NO_DUAL_CLIP = 1e6
"""verl always clips the loss of a negative advantage; so large a bound never binds."""


def objective_settings(objective: Objective) -> dict[str, Any]:
    """The settings that a method's objective sets."""
    return {
        "epsilon": objective.clip_low,
        "epsilon_high": objective.clip_high,
        "delta": objective.dual_clip,
        "importance_sampling_level": objective.ratio,
        "loss_type": LOSS_TYPES[objective.aggregation],
        "scale_rewards": objective.scale_advantages,
        "beta": objective.reference_kl,
    }
