"""The name of what a run trains on, for pages, cards and tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def task_name(task: Any) -> str:
    """The setting `task` by its name, file or hub id; a mixture has + between."""
    if isinstance(task, list | tuple):
        return " + ".join(map(task_name, task))
    if isinstance(task, Mapping):
        if task.get("name"):
            return str(task["name"])
        source = task.get("source")
        if not isinstance(source, str):
            return "rows"
        local = Path(source).suffix or source.startswith((".", "/", "~"))
        return Path(source).name if local else source
    return str(task)
