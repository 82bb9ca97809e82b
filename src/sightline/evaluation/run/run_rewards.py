"""The rewards of a run on answers that it does not train on, as training would give them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...models.generation.generate import Answer
from ...rewards import guarded, reward
from ...rewards.functions import undecided_columns
from ...tasks.problem import Problem, Task
from ...tasks.reward_columns import by_column, reward_columns
from ..statistics.intervals import Measured, clustered_mean, proportion

TOTAL = "reward"
"""The weighted sum of all rewards."""


@dataclass(frozen=True)
class Stage:
    """Where training stands, under the names that rewards read off TRL's `trainer_state`."""

    global_step: int = 0
    max_steps: int = -1


@dataclass(frozen=True)
class Rewarded:
    """What the rewards said of answers: one entry per answer."""

    values: dict[str, list[float | None]]
    """Reward -> its number; None where it has none. The weighted sum is `reward`."""
    extras: list[dict[str, Any]] = field(default_factory=list)

    def row(self, number: int) -> dict[str, float | None]:
        """The rewards of one answer."""
        return {name: values[number] for name, values in self.values.items()}


class RunRewards:
    """The reward functions of a run and their weights."""

    def __init__(
        self,
        weights: Mapping[str, float],
        opening: str = "",
        own: Mapping[str, Callable[..., Any]] | None = None,
    ):
        """`opening` is what the prompt begins of every response; `own` are functions by name, from Python.

        Raises:
            UserError: a reward is unknown or cannot be loaded.
        """
        own = own or {}
        self.functions = [guarded(own[name], name) if name in own else reward(name) for name in weights]
        self.weights = list(weights.values())
        self.opening = opening
        self.names = [_shown_name(name, one) for name, one in zip(weights, self.functions, strict=True)]
        self.more_than_accuracy = list(weights) != ["accuracy"]
        """Whether they say anything that the accuracy does not."""
        self.alone = self.weights == [1.0]
        """Whether there is one, which is the weighted sum itself."""

    def of(
        self, task: Task, problems: Sequence[Problem], answers: Sequence[Answer], stage: Stage | None = None
    ) -> Rewarded:
        """The rewards of one answer per problem."""
        count = len(problems)
        columns = {
            **by_column([reward_columns(problem) for problem in problems]),
            "prompts": [task.messages(problem) for problem in problems],
            "completion_ids": [list(one.token_ids) for one in answers],
            "opening": [self.opening] * count,
            "trainer_state": stage or Stage(),
            "log_metric": lambda name, value: None,
        }
        extras: list[dict[str, Any]] = [{} for _ in problems]

        def log_extra(name: str, values: Sequence[Any]) -> None:
            for row, value in zip(extras, values, strict=True):
                row[name] = value

        completions = [[{"role": "assistant", "content": one.text}] for one in answers]
        found = [
            list(one(completions=completions, **columns, log_extra=log_extra)) if count else []
            for one in self.functions
        ]
        values = dict(zip(self.names, found, strict=True))
        return Rewarded(values | {TOTAL: [self._total(row) for row in zip(*found, strict=True)]}, extras)

    def _total(self, row: Sequence[float | None]) -> float | None:
        """The weighted sum of what is there; None for an answer that could not be judged, as in training."""
        if any(row[place] is None for place in undecided_columns(self.functions)):
            return None
        parts = [w * value for w, value in zip(self.weights, row, strict=True) if value is not None]
        return sum(parts) if parts else None


def mean_reward(values: Sequence[float | None]) -> Measured:
    """Mean of the rewards that are there, with a 95 % interval: Wilson's for rewards of 0 and 1, else t."""
    there = [value for value in values if value is not None]
    if set(there) <= {0.0, 1.0}:
        return proportion([value == 1.0 for value in there])
    found = clustered_mean(there, range(len(there)))
    return Measured(found.value, found.low, found.high, found.n)


def plain_measure(measured: Measured) -> dict[str, Any]:
    """A measure for JSON, NaN as null."""
    return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in vars(measured).items()}


def _shown_name(name: str, function: Any) -> str:
    """A built-in reward's name, or the name of a user's function, as TRL logs it."""
    return function.__name__ if ":" in name else name
