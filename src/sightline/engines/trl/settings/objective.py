"""A method's objective in the words of TRL's `GRPOConfig`."""

from __future__ import annotations

from typing import Any

from ....objectives import Objective

_LOSS_TYPES = {"token_mean": "dapo", "sequence_mean": "grpo", "fixed_length": "dr_grpo"}


def grpo_settings(objective: Objective) -> dict[str, Any]:
    """The `GRPOConfig` fields that `objective` sets, under TRL's own names.

    What TRL has no setting for (the penalty on sampled log-probs, the bound on the reference KL, informative
    groups) is read from the method by the trainer.
    """
    settings: dict[str, Any] = {
        "epsilon": objective.clip_low,
        "epsilon_high": objective.clip_high,
        "delta": objective.dual_clip,
        "importance_sampling_level": objective.ratio,
        "loss_type": _LOSS_TYPES[objective.aggregation],
        "scale_rewards": objective.scale_advantages,
        "beta": objective.reference_kl,
    }
    if objective.reference_kl_bound is not None:  # of the plain estimate: no ratio to the sampling policy
        settings["use_bias_correction_kl"] = False
    return settings
