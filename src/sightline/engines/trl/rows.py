"""A task's problems as the rows TRL trains on, drawn or decoded only when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from ...errors import UserError
from ...tasks.problem import Problem, Task


def training_rows(task: Task, problems: Sequence[Problem]) -> Dataset:
    """A dataset with the columns `prompt`, `images`, `answer`, `choices`, `id`, `kind`.

    Raises:
        UserError: the task has no problems.
    """
    if len(problems) == 0:
        raise UserError(f"task {task.name!r} has no training rows; expected at least one problem")

    def read(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        found = [problems[index] for index in batch["index"]]
        return {
            "prompt": [task.messages(problem) for problem in found],
            "images": [list(problem.images) for problem in found],
            "answer": [problem.answer for problem in found],
            "choices": [problem.choices for problem in found],
            "id": [problem.id for problem in found],
            "kind": [problem.kind for problem in found],
        }

    return Dataset.from_dict({"index": range(len(problems))}).with_transform(read)
