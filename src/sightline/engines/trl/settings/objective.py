"""A method's objective in the words of TRL's `GRPOConfig`."""

from __future__ import annotations

from typing import Any

from ....objectives import Objective
from ...objective_settings import objective_settings


def grpo_settings(objective: Objective) -> dict[str, Any]:
    """The `GRPOConfig` fields that `objective` sets, under TRL's own names.

    What TRL has no setting for (the penalty on sampled log-probs, the bound on the reference KL, informative
    groups) is read from the method by the trainer.
    """
    settings = objective_settings(objective)
    if objective.reference_kl_bound is not None:  # of the plain estimate: no ratio to the sampling policy
        settings["use_bias_correction_kl"] = False
    return settings
