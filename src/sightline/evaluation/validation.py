"""The held-out problems of a run, measured while it trains as they are before and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..models.generation.generate import Decoding
from ..models.loading import LoadedModel
from ..tasks.problem import Problem, Task
from .run.answer_and_grade import answer
from .run.run_rewards import TOTAL, RunRewards, Stage, mean_reward
from .statistics.intervals import Measured, proportion

ACCURACY = "accuracy"


@dataclass(frozen=True)
class Score:
    """What the greedy answer to one problem earned."""

    correct: bool | None
    rewards: dict[str, float | None]


class HeldOut:
    """Greedy accuracy and rewards of held-out problems (`engines.validation.Validation`)."""

    def __init__(
        self,
        task: Task,
        problems: Sequence[Problem],
        rewards: RunRewards,
        seed: int,
        max_new_tokens: int,
        graded: bool = True,
        template: Mapping[str, Any] | None = None,
    ):
        """`graded` says whether golds are text, so that there is an accuracy; `template` are further
        arguments of the chat template."""
        self.task, self.problems, self.rewards, self.graded = task, problems, rewards, graded
        self.decoding = Decoding(max_new_tokens, seed=seed, template=dict(template or {}))
        self.shown = [name for name in rewards.names if name != ACCURACY]
        means = [f"rewards/{name}/mean" for name in self.shown]
        total = [] if rewards.left_out else [TOTAL]
        self.names = [*([ACCURACY] if graded else []), *total, *means]

    def __len__(self) -> int:
        return len(self.problems)

    def scores(self, loaded: LoadedModel, places: Sequence[int], step: int, steps: int) -> list[Score]:
        """What the model's greedy answers to the problems at `places` earn."""
        problems = [self.problems[place] for place in places]
        answered = answer(loaded, self.task, problems, self.decoding)
        rewarded = self.rewards.of(self.task, problems, answered.answers, Stage(step, steps))
        return [
            Score(verdict.correct, rewarded.row(number)) for number, verdict in enumerate(answered.verdicts)
        ]

    def metrics(self, scores: Sequence[Score]) -> dict[str, float]:
        """`accuracy`, `reward` (where no reward is left out) and `rewards/NAME/mean` over all problems, each
        with `.../low` and `.../high`, the ends of its 95 % interval."""
        found: dict[str, Measured] = {}
        if self.graded:
            found[ACCURACY] = proportion([one.correct for one in scores if one.correct is not None])
        if TOTAL in self.names:
            found[TOTAL] = mean_reward([one.rewards[TOTAL] for one in scores])
        for name in self.shown:
            found[f"rewards/{name}/mean"] = mean_reward([one.rewards[name] for one in scores])
        ends = {}
        for name, one in found.items():
            place = name.removesuffix("/mean")
            ends |= {name: one.value, f"{place}/low": one.low, f"{place}/high": one.high}
        return ends
