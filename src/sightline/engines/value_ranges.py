"""Checks that numbers lie in their range and choices exist, before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UserError, unknown_name

_LEAST = {
    "num_iterations": 1, "max_completion_length": 1, "max_rounds": 1, "max_skipped_steps": 1, "limit": 1,
    "max_prompt_length": 1, "save_total_limit": 0, "warn_zero_rewards": 0, "warn_zero_gradient": 0,
    "eval_problems": 0, "report_problems": 0, "seed": 0, "top_k": 0, "learning_rate": 0, "weight_decay": 0,
    "max_grad_norm": 0, "beta": 0, "epsilon": 0, "epsilon_high": 0, "warn_entropy": 0, "warn_drift": 0,
    "adam_beta1": 0, "adam_beta2": 0, "wait_for_disk": 0, "blind_every": 0, "warn_blind": 0,
}  # fmt: skip
"""The least that a number may be, of the settings that every engine has."""
_CHOICES = {"when_uninformative": ("keep", "error")}
_ABOVE_ZERO = ("temperature", "top_p", "repetition_penalty")
_MOST = {"top_p": 1, "min_p": 1, "seed": 2**32 - 1, "adam_beta1": 0.9999, "adam_beta2": 0.999999}


def check_bounds(args: Any, least: Mapping[str, float], choices: Mapping[str, Sequence[str]]) -> None:
    """Refuse numbers outside their range, and names that mean nothing.

    `least` and `choices` say so of an engine's own settings; None is no number and no name.

    Raises:
        UserError: with the setting, what came and what was expected.
    """
    lowest = {**_LEAST, **least}
    for name in (*lowest, *_ABOVE_ZERO, *_MOST):
        value = getattr(args, name, None)
        if value is not None:
            _check_number(name, float(value), lowest.get(name, 0))
    for name, allowed in {**_CHOICES, **choices}.items():
        value = getattr(args, name)
        if value is not None and not isinstance(value, bool) and value not in allowed:
            raise unknown_name(name, str(value), allowed)
    if args.top_k == 1:
        raise UserError("top_k 1 gives every rollout of a prompt the same response, from which nothing is "
                        "learned; leave it out, and evaluate greedily with sightline eval")  # fmt: skip
    _check_length(args)


def _check_length(args: Any) -> None:
    """How long the run is, and how often it saves."""
    if args.max_steps == 0 or args.max_steps < -1:
        raise UserError(
            f"max_steps must be at least 1, or -1 to train for num_train_epochs, got {args.max_steps}"
        )
    if args.max_steps < 0 and not args.num_train_epochs > 0:
        raise UserError(f"num_train_epochs must be above 0, got {args.num_train_epochs}")
    if getattr(args.save_strategy, "value", args.save_strategy) == "steps" and not args.save_steps > 0:
        raise UserError(
            f"save_steps must be above 0, got {args.save_steps}; save_strategy: 'no' keeps no checkpoints"
        )


def _check_number(name: str, value: float, least: float) -> None:
    most = _MOST.get(name)
    low = value > 0 if name in _ABOVE_ZERO else value >= least
    if math.isfinite(value) and low and (most is None or value <= most):
        return
    wanted = "above 0" if name in _ABOVE_ZERO else f"at least {least}"
    upper = "" if most is None else f" and at most {most}"
    raise UserError(f"{name} must be {wanted}{upper}, got {value:g}")
