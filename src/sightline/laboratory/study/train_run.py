"""One run of a study: trained in this process, measured on the way, left as small files."""

from __future__ import annotations

import gc
import logging
import platform
import shutil
from collections.abc import Callable
from typing import Any

import torch
import yaml

from ...engines import Settings, engine
from ...models.loading import LoadedModel
from ...provenance import provenance
from ...run_folder import write_json, write_text
from ...tasks import load_task
from ...tasks.problem import Problem, Task
from ..gradient_test.token_classes import LabelCredit
from .folder import StudyRun, compress
from .held_out import HeldOut, held_out_pairs, held_out_problems, measured
from .plan import Plan

log = logging.getLogger(__name__)


class Runner:
    """Trains the runs of one study one after the other; what they share is made once.

    A run depends on its arm and seed alone, not on the runs before it in the same process.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.task: Task = load_task(plan.train.get("task", "shapes"))
        self.problems: list[Problem] = held_out_problems(self.task, plan.evaluate)
        self.pairs: list[Problem] = held_out_pairs(self.task, plan.evaluate)
        self._start: dict[str, dict[str, Any]] = {}

    def run(self, arm: str, seed: int, folder: StudyRun, step: Callable[[], object]) -> bool:
        """Train one run, or go on with it; False if a signal ended it before its time."""
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.failure.unlink(missing_ok=True)
        settings = run_settings(self.plan, arm, seed, folder)
        loaded = engine().load_policy(settings)
        longest = int(settings.train.max_completion_length or 256)
        watch = HeldOut(
            folder.evaluations, self.plan.evaluate.every,
            lambda model: self._measure(model, longest, str(settings.train.model)), step,
        )  # fmt: skip
        watch.loaded = loaded
        problems = self.task.train(settings.train.limit, settings.train.seed)
        credit = self.plan.credit(arm)
        labels = None if credit is None else LabelCredit(credit, loaded.processor.tokenizer)  # pyright: ignore[reportAttributeAccessIssue]
        trained = engine().train(
            settings, loaded, self.task, problems, folder.training, watch=watch, credit=labels
        )
        if trained.interrupted_by is not None:
            return False
        _tidy(folder)
        write_json(
            folder.summary,
            {
                "arm": arm,
                "seed": seed,
                "steps": trained.steps,
                "credit": credit,
                "machine": platform.machine(),
                **provenance(),
            },
        )
        del trained, loaded, watch
        gc.collect()
        return True

    def _measure(self, loaded: LoadedModel, longest: int, name: str) -> dict[str, Any]:
        """What is measured; the start, which all runs share, only once."""
        print_of = f"{name}/{longest}/{_fingerprint(loaded)}"
        if print_of not in self._start:
            found = measured(loaded, self.task, self.problems, self.plan.evaluate, longest, self.pairs)
            if self._start:
                return found
            self._start[print_of] = found
        return self._start[print_of]


def run_settings(plan: Plan, arm: str, seed: int, folder: StudyRun) -> Settings:
    """The resolved settings of one run, written down as `sightline train --config` would read them.

    Raises:
        UserError: a setting is unknown or has the wrong type.
    """
    content = yaml.safe_dump(plan.settings(arm, seed), sort_keys=False, allow_unicode=True)
    write_text(folder.settings, content)
    resume = any(folder.path.glob("checkpoint-*"))
    return engine().parse(
        ["--config", str(folder.settings), "--output_dir", str(folder.path), *["--resume"] * resume]
    )


def _fingerprint(loaded: LoadedModel) -> str:
    total = sum(parameter.detach().double().sum() for parameter in loaded.model.parameters())
    squares = sum(parameter.detach().double().square().sum() for parameter in loaded.model.parameters())
    return f"{float(torch.as_tensor(total))!r}/{float(torch.as_tensor(squares))!r}"


def _tidy(folder: StudyRun) -> None:
    """Keep what results are made of; the model and checkpoints go."""
    compress(folder.training.metrics, folder.metrics)
    for left in (folder.training.model, *folder.path.glob("checkpoint-*"), folder.path / ".saving"):
        shutil.rmtree(left, ignore_errors=True)
