"""The setting `rewards` -> functions with TRL's signature, and what each weighs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trl.rewards.other_rewards import get_soft_overlong_punishment

from ....errors import UserError
from ....objectives import Objective
from ....rewards import guarded, reward
from ....rewards.functions import of_answers_alone
from ...reward_settings import ACCURACY, accuracy_column, reward_weights
from .resolve import Settings


def rewards_of(settings: Settings) -> tuple[list[Callable[..., Any]], list[float]]:
    """The reward functions of a run and their weights.

    Raises:
        UserError: as `reward_weights` and `reward_functions`; or groups are judged by an accuracy that is
            not among them.
    """
    args, objective = settings.train, settings.method.objective
    weights = reward_weights(args.rewards, args.reward_weights)
    longest = int(args.max_completion_length or 256)
    functions, values = reward_functions(weights, objective, longest, settings.own_rewards)
    selection = objective.informative_groups
    if selection is not None and selection.key == ACCURACY and args.max_rounds > 1:
        accuracy_column([function.__name__ for function in functions])
    return functions, values


def reward_functions(
    weights: Mapping[str, float],
    objective: Objective,
    max_length: int,
    own: Mapping[str, Callable[..., Any]] | None = None,
) -> tuple[list[Callable[..., Any]], list[float]]:
    """The functions and their weights, with the objective's overlong punishment (weight 1) behind them.

    `own` are functions by name, which need not be found.

    Raises:
        UserError: a reward is unknown or cannot be loaded, or the overlong buffer exceeds `max_length`.
    """
    own, values = own or {}, list(weights.values())
    functions = [guarded(own[name], name) if name in own else reward(name) for name in weights]
    if objective.overlong is not None:
        functions.append(_overlong(max_length, objective.overlong))
        values.append(1.0)
    return functions, values


def _overlong(max_length: int, buffer: int) -> Callable[..., Any]:
    """TRL's soft overlong punishment (DAPO Eq. 13): 0 up to `max_length − buffer`, −1 at `max_length`."""
    if not 0 < buffer <= max_length:
        raise UserError(
            f"objective: overlong must lie between 1 and max_completion_length {max_length}, got {buffer}"
        )
    return of_answers_alone(
        get_soft_overlong_punishment(max_completion_len=max_length, soft_punish_cache=buffer)
    )
