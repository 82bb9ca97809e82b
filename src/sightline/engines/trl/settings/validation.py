"""The settings of held-out problems measured during training, under transformers' names."""

from __future__ import annotations

import math
from typing import Any

from ....errors import UserError
from ....rewards.functions import compares_golds
from ...command_line import plain_data
from ...reward_settings import reward_weights

_HOW = "give eval_strategy: steps with eval_steps, or eval_strategy: epoch"


def read_validation(args: Any) -> None:
    """Check the settings, and say by which metric a checkpoint is the best where nothing else does: the
    accuracy if it is rewarded, else the reward; before TRL reads them.

    Raises:
        UserError: the settings ask for validation and for none, or do not say how often.
    """
    on, best = is_on(args), args.load_best_model_at_end or _word(args.save_strategy) == "best"
    plateau = _word(args.lr_scheduler_type) == "reduce_lr_on_plateau"
    asking = {
        "load_best_model_at_end": args.load_best_model_at_end,
        "save_strategy best": _word(args.save_strategy) == "best",
        "metric_for_best_model": args.metric_for_best_model is not None,
        "greater_is_better": args.greater_is_better is not None,
        "lr_scheduler_type reduce_lr_on_plateau": plateau,
        "eval_on_start": args.eval_on_start,
        "eval_steps": args.eval_steps is not None,
        "eval_delay": bool(args.eval_delay),
    }
    if not on:
        if named := [name for name, asked in asking.items() if asked]:
            raise UserError(f"{named[0]} needs held-out problems that are measured during training; {_HOW}")
        return
    if args.eval_problems < 1:
        raise UserError("eval_strategy measures held-out problems during training, of which eval_problems: 0 "
                        "leaves none; set it above 0")  # fmt: skip
    if _word(args.eval_strategy) == "steps":
        _check_steps(args.eval_steps)
    if args.metric_for_best_model is None and (best or plateau):
        rewards = reward_weights(plain_data("rewards", args.rewards), args.reward_weights)
        args.metric_for_best_model = "accuracy" if compares_golds(rewards) else "reward"
    if plateau and args.greater_is_better is not False:
        given = args.lr_scheduler_kwargs
        args.lr_scheduler_kwargs = {"mode": "max", **given} if isinstance(given, dict) else {"mode": "max"}
    args.num_generations_eval = 1  # TRL would hold its own evaluation against the batch, which does not run


def forget_trl_evaluation(args: Any) -> None:
    """Take back what kept TRL from checking an evaluation that does not run."""
    args.num_generations_eval = None


def is_on(args: Any) -> bool:
    """Whether held-out problems are measured during training."""
    return _word(args.eval_strategy) != "no"


def _check_steps(steps: Any) -> None:
    if steps is None:
        raise UserError("eval_strategy steps does not say how often; give eval_steps, such as eval_steps: 50")
    if not (math.isfinite(steps) and steps > 0):
        raise UserError(
            f"eval_steps must be above 0 (below 1 it is a share of the run's steps), got {steps:g}"
        )


def _word(value: Any) -> str:
    return str(getattr(value, "value", value))
