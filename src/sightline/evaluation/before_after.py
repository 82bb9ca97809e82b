"""The same held-out problems before and after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..models.generation.generate import Decoding
from ..models.loading import LoadedModel
from ..plain_files import Refused, read_plain
from ..run_folder import RunFolder, write_json
from ..structure import COUNT, NUMBER, TEXT, Each, Many, Maybe, Optional, fault
from ..tasks.problem import Problem, Task
from ..views import Black
from .run.answer_and_grade import AnsweredProblems, answer
from .run.run_rewards import TOTAL, Rewarded, RunRewards, mean_reward, plain_measure
from .statistics.intervals import Measured
from .tokens.scored_samples import sample_rows, scored_samples

BEFORE, AFTER = "before", "after"
ACCURACY = "accuracy"
MODES = ("greedy", "sampled", "blind")
REWARDS = "rewards"
"""Beside the modes: the run's own rewards of the greedy answers."""
_SHARE = {"value": Maybe(NUMBER), "low": Maybe(NUMBER), "high": Maybe(NUMBER), "n": COUNT}
_MEASURED = Each(dict.fromkeys(MODES, Optional(_SHARE)) | {REWARDS: Optional(Each(_SHARE))})


class BeforeAfter:
    """Measures a model twice and keeps both in eval.json, with a few samples in samples.json."""

    def __init__(
        self,
        folder: RunFolder,
        task: Task,
        problems: Sequence[Problem],
        shown: int,
        seed: int,
        max_new_tokens: int,
        rewards: RunRewards | None = None,
        template: Mapping[str, Any] | None = None,
    ):
        """`rewards` are measured too, where they are more than the accuracy; `template` are further arguments
        of the chat template."""
        self.template = dict(template or {})
        self.rewards = rewards if rewards is not None and rewards.more_than_accuracy else None
        self.folder, self.task, self.problems, self.shown = folder, task, problems, shown
        self.seed, self.max_new_tokens = seed, max_new_tokens
        self.measured: dict[str, dict[str, Any]] = {}
        self.samples: list[dict[str, Any]] = []
        self.damaged: list[str] = []
        """What was there of an earlier start and cannot be used; it is measured again."""
        self._read()

    def _read(self) -> None:
        """What an earlier start of the run measured; both files or neither, since they belong together."""
        measured = self._whole(self.folder.evaluation, _MEASURED)
        samples = self._whole(self.folder.samples, Many({"id": TEXT}))
        wanted = min(self.shown, len(self.problems))
        if samples is not None and measured is not None and len(samples) not in (0, wanted):
            self.damaged.append(f"{self.folder.samples} holds {len(samples)} problems, expected {wanted}")
        if self.damaged:
            self.damaged[-1] += "; measuring again"
        else:
            self.measured, self.samples = measured or {}, samples or []

    def _whole(self, path: Path, structure: Any) -> Any:
        if not path.is_file():
            return None
        try:
            found = read_plain(path)
            wrong = fault(found, structure)
        except (OSError, Refused) as error:
            found, wrong = None, f"it {error}"
        if wrong is not None:
            self.damaged.append(f"{path} is damaged: {wrong}")
        return None if wrong is not None else found

    def missing(self, moment: str) -> int:
        """How many answers `measure` would ask for."""
        done = moment == BEFORE and moment in self.measured
        return 0 if done else len(MODES) * len(self.problems)

    def measure(
        self, moment: str, loaded: LoadedModel, progress: Callable[[int], object] | None = None
    ) -> None:
        """Greedy, sampled (temperature 1, one sample) and blind (greedy, black images) accuracy at
        `moment`, "before" or "after", and the rewards of the greedy answers. Golds that are no text have
        rewards alone. A resumed run keeps what it measured before training, and measures again after it: the
        model may have been trained further. `progress` is told how many answers have come."""
        if not self.missing(moment):
            return
        plain = Decoding(self.max_new_tokens, seed=self.seed, template=self.template)
        runs = {
            "greedy": (plain, None),
            "sampled": (replace(plain, temperature=1.0), None),
            "blind": (plain, Black()),
        }
        answered: dict[str, AnsweredProblems] = {}
        for mode, (decoding, blind) in runs.items():
            one = answer(loaded, self.task, self.problems, decoding, blind=blind, progress=progress)
            answered[mode] = one
            if not one.accuracy.n and all(problem.gold is not None for problem in one.problems):
                break  # nothing that accuracy could be measured of
        accuracies = {mode: one.accuracy for mode, one in answered.items()}
        self.measured[moment] = {mode: one.as_dict() for mode, one in accuracies.items() if one.n}
        rows = scored_samples(loaded, answered["greedy"], self.shown, self.seed)
        self._measure_rewards(moment, answered["greedy"], rows)
        if not self.samples:
            self.samples = sample_rows(answered["greedy"], self.shown)
        for row, scored in zip(self.samples, rows, strict=True):
            row[moment] = scored
        write_json(self.folder.samples, self.samples)
        write_json(self.folder.evaluation, self.measured)

    def _measure_rewards(self, moment: str, greedy: AnsweredProblems, rows: list[dict[str, Any]]) -> None:
        """Add the run's rewards to what was measured, and to the samples."""
        if self.rewards is None:
            return
        found: Rewarded = self.rewards.of(self.task, greedy.problems, greedy.answers)
        self.measured[moment][REWARDS] = {
            name: plain_measure(mean_reward(values))
            for name, values in found.values.items()
            if name != ACCURACY  # which is measured in its own right
            and not (name == TOTAL and self.rewards.alone)
        }
        for number, row in enumerate(rows):
            row |= {"rewards": found.row(number), "extras": found.extras[number]}

    def value(self, moment: str, mode: str) -> Measured | None:
        """What was measured, or None."""
        found = self.measured.get(moment, {}).get(mode)
        return None if found is None else Measured(**found)

    def reward_values(self, moment: str) -> dict[str, Measured]:
        """The run's rewards of greedy answers by name; none if they are the accuracy alone."""
        found = self.measured.get(moment, {}).get(REWARDS) or {}
        return {name: Measured(**one) for name, one in found.items() if one["value"] is not None}
