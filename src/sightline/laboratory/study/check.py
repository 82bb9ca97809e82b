"""Checks the settings of every arm before a study's first run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ...errors import UserError
from ...models.loading import resolve
from ...tasks import load_task
from ...tasks.shapes import WorldTask
from .folder import StudyFolder, StudyRun
from .held_out import held_out_pairs, held_out_problems
from .plan import Plan
from .train_run import run_settings


def check_plan(plan: Plan, folder: StudyFolder) -> None:
    """Resolve the settings of every arm, the model's name and the held-out problems.

    Raises:
        UserError: any of them is wrong; says which arm.
    """
    if not isinstance(plan.train.get("max_steps"), int) or plan.train["max_steps"] < 1:
        raise UserError("train: max_steps must be a whole number of at least 1, the budget that all arms "
                        f"share; got {plan.train.get('max_steps')!r}")  # fmt: skip
    with tempfile.TemporaryDirectory(dir=folder.path) as scratch:
        for arm in plan.arms:
            try:
                settings = run_settings(plan, arm.name, 0, StudyRun(Path(scratch)))
            except UserError as error:
                raise UserError(f"arm {arm.name}: {error}") from error
            if settings.train.max_steps != plan.train["max_steps"]:
                raise UserError(f"arm {arm.name} sets max_steps; every arm has the same budget, in train")
            if "task" in arm.settings:
                raise UserError(f"arm {arm.name} sets task; every arm has the same data, in train")
            resolve(str(settings.train.model))
    task = load_task(plan.train.get("task", "shapes"))
    held_out_problems(task, plan.evaluate)
    labelled = [arm.name for arm in plan.arms if plan.credit(arm.name) is not None]
    if labelled and not isinstance(task, WorldTask):
        raise UserError(f"arm {labelled[0]} credits by labels, which only the embedded worlds have; expected "
                        f"task shapes or shapes-2, got {task.name}")  # fmt: skip
    held_out_pairs(task, plan.evaluate)
