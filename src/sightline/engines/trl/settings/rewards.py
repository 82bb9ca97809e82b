"""The setting `rewards` -> functions with TRL's signature, and what each weighs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trl.rewards.other_rewards import get_soft_overlong_punishment

from ....errors import UserError
from ....objectives import Objective
from ....rewards import reward
from .resolve import Settings

ACCURACY = "accuracy"
"""The reward by which groups are judged informative, unless the objective says "overall"."""


def reward_weights(rewards: Any, weights: Sequence[float] | None = None) -> dict[str, float]:
    """The setting `rewards` as `{name: weight}`.

    `rewards` is a name, names with commas between (their weights in `weights`, 1 each by default), or a
    mapping of names to weights.

    Raises:
        UserError: no reward, a weight that is no number, or weights of another number than rewards.
    """
    if isinstance(rewards, Mapping):
        if weights is not None:
            raise UserError("rewards gives weights already; leave reward_weights out")
        chosen = dict(rewards)
    else:
        names = [name.strip() for name in str(rewards or "").split(",") if name.strip()]
        if weights is not None and len(weights) != len(names):
            raise UserError(f"reward_weights has {len(weights)} numbers for {len(names)} rewards: {rewards}")
        chosen = dict(zip(names, weights if weights is not None else [1.0] * len(names), strict=True))
    if not chosen:
        raise UserError("rewards names none; expected `accuracy`, or weights as {accuracy: 0.9, format: 0.1}")
    for name, weight in chosen.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise UserError(f"rewards: the weight of {name} must be a finite number, got {weight!r}")
    return {str(name): float(weight) for name, weight in chosen.items()}


def rewards_of(settings: Settings) -> tuple[list[Callable[..., Any]], list[float]]:
    """The reward functions of a run and their weights.

    Raises:
        UserError: as `reward_weights` and `reward_functions`; or groups are judged by an accuracy that is
            not among them.
    """
    args, objective = settings.train, settings.method.objective
    weights = reward_weights(args.rewards, args.reward_weights)
    functions, values = reward_functions(weights, objective, int(args.max_completion_length or 256))
    selection = objective.informative_groups
    if selection is not None and selection.key == ACCURACY and args.max_rounds > 1:
        accuracy_column([function.__name__ for function in functions])
    return functions, values


def reward_functions(
    weights: Mapping[str, float], objective: Objective, max_length: int
) -> tuple[list[Callable[..., Any]], list[float]]:
    """The functions and their weights, with the objective's overlong punishment (weight 1) behind them.

    Raises:
        UserError: a reward is unknown or cannot be loaded, or the overlong buffer exceeds `max_length`.
    """
    functions, values = [reward(name) for name in weights], list(weights.values())
    if objective.overlong is not None:
        functions.append(_overlong(max_length, objective.overlong))
        values.append(1.0)
    return functions, values


def accuracy_column(names: Sequence[str]) -> int:
    """Which reward function is the accuracy; if there is only one, that one.

    Raises:
        UserError: there are several, and none is the accuracy.
    """
    if ACCURACY not in names and len(names) > 1:
        raise UserError(
            f"informative groups are judged by the accuracy reward, but there are {', '.join(names)}; "
            "add it (a weight of 0 is enough), set the objective's informative_groups to {key: overall}, "
            "or max_rounds to 1"
        )
    return list(names).index(ACCURACY) if ACCURACY in names else 0


def _overlong(max_length: int, buffer: int) -> Callable[..., Any]:
    """TRL's soft overlong punishment (DAPO Eq. 13): 0 up to `max_length − buffer`, −1 at `max_length`."""
    if not 0 < buffer <= max_length:
        raise UserError(
            f"objective: overlong must lie between 1 and max_completion_length {max_length}, got {buffer}"
        )
    return get_soft_overlong_punishment(max_completion_len=max_length, soft_punish_cache=buffer)
