"""The setting `rewards` -> functions with TRL's signature, and what each weighs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trl.rewards.other_rewards import get_soft_overlong_punishment

from ....errors import UserError
from ....objectives import Objective
from ....rewards.chosen import chosen_rewards
from ....rewards.functions import is_of_one_batch, of_answers_alone
from ...reward_settings import ACCURACY, accuracy_column, reward_weights
from .resolve import Settings


def rewards_of(settings: Settings) -> tuple[list[Callable[..., Any]], list[float]]:
    """The reward functions of a run and their weights.

    Raises:
        UserError: as `reward_weights` and `reward_functions`; groups are judged by an accuracy that is not
            among them; or a reward compares both sides of a pair, and batches would part them.
    """
    args, objective = settings.train, settings.method.objective
    weights = reward_weights(args.rewards, args.reward_weights)
    longest = int(args.max_completion_length or 256)
    functions, values = reward_functions(weights, objective, longest, settings.own_rewards)
    selection = objective.informative_groups
    resampled = None if args.max_rounds == 1 else selection
    for function in filter(is_of_one_batch, functions):
        _check_whole_pairs(function.__name__, args, resampled is not None)
    if resampled is not None and resampled.key == ACCURACY:
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
        UserError: as `chosen_rewards`, or the overlong buffer exceeds `max_length`.
    """
    functions, values = chosen_rewards(weights, own), list(weights.values())
    if objective.overlong is not None:
        functions.append(_overlong(max_length, objective.overlong))
        values.append(1.0)
    return functions, values


def _check_whole_pairs(name: str, args: Any, resampled: bool) -> None:
    """Refuse batches in which a side of a pair would be without the other: rows come in their order, and each
    process rewards its own part of the batch.

    Raises:
        UserError: with the setting that parts them.
    """
    what, group = f"rewards: {name} needs both sides of a pair in one process's batch", args.num_generations
    if args.shuffle_dataset:
        raise UserError(f"{what}, and shuffle_dataset: true parts them; set shuffle_dataset: false")
    if resampled:
        raise UserError(
            f"{what}, and max_rounds: {args.max_rounds} replaces prompts one by one; set max_rounds: 1"
        )
    rollouts = args.generation_batch_size // args.world_size
    if rollouts % (2 * group):
        raise UserError(
            f"{what}, which takes an even number of prompts, but it has {rollouts / group:g} ({rollouts} "
            f"rollouts, num_generations {group}); make per_device_train_batch_size x steps_per_generation "
            f"a multiple of {2 * group}"
        )


def _overlong(max_length: int, buffer: int) -> Callable[..., Any]:
    """TRL's soft overlong punishment (DAPO Eq. 13): 0 up to `max_length − buffer`, −1 at `max_length`."""
    if not 0 < buffer <= max_length:
        raise UserError(
            f"objective: overlong must lie between 1 and max_completion_length {max_length}, got {buffer}"
        )
    return of_answers_alone(
        get_soft_overlong_punishment(max_completion_len=max_length, soft_punish_cache=buffer)
    )
