"""Where problems come from: dataset rows, or the embedded world, as prompts, pictures and answers."""

from __future__ import annotations

from ..errors import unknown_name
from .problem import Problem, Task
from .shapes import ShapesTask

__all__ = ["TASKS", "Problem", "ShapesTask", "Task", "load_task"]

TASKS = {"shapes": ShapesTask}


def load_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        UserError: unknown; the nearest names are given.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]()
