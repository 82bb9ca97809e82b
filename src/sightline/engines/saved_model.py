"""The trained model is written where there is room: in the run's folder, or in its spare one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..run_folder import RunFolder
from .disk_space import when_there_is_room

Value = TypeVar("Value")


def saved_where_it_fits(
    save: Callable[[RunFolder], Value],
    folder: RunFolder,
    spare_dir: str | None,
    needed: int,
    wait: float,
    say: Callable[[str], None],
) -> Value:
    """What `save` returns, given the run's folder or, where its disk takes nothing, that of `spare_dir`.

    A disk in trouble is tried again for `wait` seconds; the model takes `needed` bytes.

    Raises:
        OSError: it is saved nowhere, with the folder and why.
    """

    def in_time(place: RunFolder, seconds: float) -> Value:
        return when_there_is_room(lambda: save(place), place.path, needed, seconds, say)

    if spare_dir is None:
        return in_time(folder, wait)
    try:
        return in_time(folder, 0.0)
    except OSError as error:
        why = error.strerror
    spare = RunFolder(Path(spare_dir))
    spare.path.mkdir(parents=True, exist_ok=True)
    say(f"{folder.path}: {why}; the trained model goes to {spare.model}")
    return in_time(spare, wait)
