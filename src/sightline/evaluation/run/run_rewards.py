"""The rewards of a run on answers that it does not train on, as training would give them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...models.generation.generate import Answer
from ...rewards.chosen import TOTAL, chosen_rewards, shown_name
from ...rewards.functions import is_of_one_batch, undecided_columns
from ...tasks.problem import Problem, Task
from ...tasks.reward_columns import by_column, reward_columns
from ..statistics.intervals import Measured, clustered_mean, proportion


@dataclass(frozen=True)
class Stage:
    """Where training stands, under the names that rewards read off TRL's `trainer_state`."""

    global_step: int = 0
    max_steps: int = -1


@dataclass(frozen=True)
class Rewarded:
    """What the rewards said of answers: one entry per answer."""

    values: dict[str, list[float | None]]
    """Reward -> its number; None where it has none. The weighted sum is `reward`, where it is whole."""
    extras: list[dict[str, Any]] = field(default_factory=list)

    def row(self, number: int) -> dict[str, float | None]:
        """The rewards of one answer."""
        return {name: values[number] for name, values in self.values.items()}


class RunRewards:
    """The reward functions of a run and their weights, but for those that compare responses of one batch."""

    def __init__(
        self,
        weights: Mapping[str, float],
        opening: str = "",
        own: Mapping[str, Callable[..., Any]] | None = None,
    ):
        """`opening` is what the prompt begins of every response; `own` are functions by name, from Python.

        Raises:
            UserError: as `chosen_rewards`.
        """
        named = list(zip(weights, chosen_rewards(weights, own), strict=True))
        kept = [(name, one) for name, one in named if not is_of_one_batch(one)]
        self.functions = [one for _, one in kept]
        self.weights = [weights[name] for name, _ in kept]
        self.opening = opening
        self.names = [shown_name(name, one) for name, one in kept]
        self.left_out = [shown_name(name, one) for name, one in named if is_of_one_batch(one)]
        """Rewards that an answer which comes alone has none of; without them there is no weighted sum."""
        self.more_than_accuracy = [name for name, _ in kept] not in ([], ["accuracy"])
        """Whether they say anything that the accuracy does not."""
        self.alone = self.weights == [1.0] and self.names != [TOTAL]
        """Whether there is one, which is the weighted sum itself under another name."""

    def describe_left_out(self) -> str | None:
        """One line, if rewards are left out."""
        if not self.left_out:
            return None
        return (
            f"held-out problems are measured without the reward {', '.join(self.left_out)}, which compares "
            "responses of one training batch, and without the weighted sum that it is part of"
        )

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
        if self.left_out:
            return Rewarded(values, extras)
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
