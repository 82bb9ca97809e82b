"""The setting `rewards`: which reward functions a run has and what each weighs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UserError

ACCURACY = "accuracy"
"""The reward by which groups are judged informative, unless the objective says "overall"."""


def reward_weights(rewards: Any, weights: Sequence[float] | None = None) -> dict[str, float]:
    """The setting `rewards` as `{name: weight}`.

    `rewards` is a name, names with commas between (their weights in `weights`, 1 each by default), or a
    mapping of names to weights.

    Raises:
        UserError: no reward, one twice, a weight that is no number, or more or fewer weights than rewards.
    """
    if isinstance(rewards, Mapping):
        if weights is not None:
            raise UserError("rewards gives weights already; leave reward_weights out")
        chosen = dict(rewards)
    else:
        names = [name.strip() for name in str(rewards or "").split(",") if name.strip()]
        if weights is not None and len(weights) != len(names):
            raise UserError(f"reward_weights has {len(weights)} numbers for {len(names)} rewards: {rewards}")
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(f"rewards names {twice[0]} twice; name it once, with its whole weight")
        chosen = dict(zip(names, weights if weights is not None else [1.0] * len(names), strict=True))
    if not chosen:
        raise UserError("rewards names none; expected `accuracy`, or weights as {accuracy: 0.9, format: 0.1}")
    for name, weight in chosen.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise UserError(f"rewards: the weight of {name} must be a finite number, got {weight!r}")
    return {str(name): float(weight) for name, weight in chosen.items()}


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
