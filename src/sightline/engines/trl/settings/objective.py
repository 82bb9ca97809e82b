"""A method's objective in the words of TRL's `GRPOConfig`."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from ....errors import UserError
from ....objectives import Objective
from ...objective_settings import objective_settings
from .config import TrainConfig


def grpo_settings(objective: Objective) -> dict[str, Any]:
    """The `GRPOConfig` fields that `objective` sets, under TRL's own names.

    What TRL has no setting for (the penalty on sampled log-probs, the bound on the reference KL, informative
    groups) is read from the method by the trainer.
    """
    settings = objective_settings(objective)
    if objective.reference_kl_bound is not None:  # of the plain estimate: no ratio to the sampling policy
        settings["use_bias_correction_kl"] = False
    return settings


def follow_objective(args: Any, objective: Objective) -> TrainConfig:
    """A copy of `args` in which fields at TRL's defaults are as the objective has them; others were given.

    Raises:
        UserError: `args` is no `TrainConfig`, without which Sightline's own settings are missing.
    """
    if not isinstance(args, TrainConfig):
        raise UserError(
            f"args must be a TrainConfig (sightline.engines.trl.settings.config), which takes every field of "
            f"GRPOConfig under its name, got {type(args).__name__}"
        )
    usual = {one.name: one.default for one in dataclasses.fields(TrainConfig)}
    found = copy.copy(args)
    for name, value in grpo_settings(objective).items():
        if getattr(args, name) == usual[name]:
            setattr(found, name, value)
    return found
