"""Where problems come from: dataset rows, or the embedded world, as prompts, images and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import UserError, unknown_name
from .loading.data_options import DataOptions
from .problem import NothingHeldOut, Problem, Task
from .shapes import PairsTask, ShapesTask, WorldTask
from .shapes.response import Role
from .shapes2 import LEVELS, Shapes2Task
from .shapes2.difficulty import FIRST_LEVEL
from .token_roles import token_roles

__all__ = [
    "TASKS",
    "DataOptions",
    "NothingHeldOut",
    "PairsTask",
    "Problem",
    "Role",
    "Shapes2Task",
    "ShapesTask",
    "Task",
    "WorldTask",
    "check_task",
    "held_out_or_all",
    "load_task",
    "token_roles",
]


def _paired(world: Callable[[], WorldTask]) -> Task:
    return PairsTask(world())


_WORLDS: dict[str, Callable[[], WorldTask]] = {
    "shapes": ShapesTask,
    "shapes-2": Shapes2Task,
    **{f"shapes-2:{level}": partial(Shapes2Task, level) for level in LEVELS if level != FIRST_LEVEL},
}
TASKS: dict[str, Callable[[], Task]] = {
    **_WORLDS,
    **{f"{name}:pairs": partial(_paired, world) for name, world in _WORLDS.items()},
}
"""Tasks that are drawn, by name; everything else is a dataset."""


def held_out_or_all(task: Task, count: int | None) -> tuple[Sequence[Problem], str | None]:
    """`count` held-out problems of a task (None: all) for a look at a model; where nothing is held out, its
    training problems, and a line that says so."""
    try:
        return task.test(count, 0), None
    except NothingHeldOut:
        return task.train(count, 0), f"{task.name} holds nothing out; its training problems are looked at"


def load_task(spec: str | Mapping[str, Any] | Sequence[Any], options: DataOptions | None = None) -> Task:
    """The task behind `spec`: a name, hub id or path; a mapping with `source`; or a list of these, a mixture.

    A mapping takes `source`, `revision`, `config`, `split`, `columns`, `test`, `weight`, `image_dir` and
    `name`, the fields of `sources.Source`. `options` hold for every set of the run.

    Raises:
        UserError: a name, key or column is unknown, nothing is found, or the hub is out of reach.
    """
    if isinstance(spec, list | tuple):
        from .mixture import Mixture

        if any(isinstance(entry, list | tuple) for entry in spec):
            raise UserError("a mixture is one flat list of sources; a list inside it is not")
        weights = [entry.get("weight") if isinstance(entry, Mapping) else None for entry in spec]
        return Mixture([load_task(entry, options) for entry in spec], weights)
    name = spec.get("source") if isinstance(spec, Mapping) else spec
    if isinstance(name, str) and name in TASKS:
        if isinstance(spec, Mapping) and (extra := set(spec) - {"source", "weight"}):
            raise UserError(f"task {name} is drawn, not read; it takes no {', '.join(sorted(extra))}")
        return TASKS[name]()
    check_task(name)
    from .dataset_task import DatasetTask

    return DatasetTask(spec, options)


def check_task(spec: Any) -> None:
    """Whether a name is one of `TASKS`, exists as a file, or may be a hub id; nothing is opened.

    Raises:
        UserError: it is none of them.
    """
    if not isinstance(spec, str) or spec in TASKS or "/" in spec or Path(spec).expanduser().exists():
        return
    if Path(spec).suffix[1:2].isalpha():
        raise UserError(f"file {spec} does not exist; expected a data file, a folder, or a hub id")
    raise UserError(f"{unknown_name('task', spec, TASKS)}, a path, or a hub id as owner/name")
