"""Where a run begins: anew, or at a checkpoint of its own or of another run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import UserError
from .checkpoints import checkpoints, clean, given_checkpoint, newest_whole
from .finished_runs import refuse_to_train_again


def starting_point(
    folder: Path, resume: bool, say: Callable[[str], None], given: str | None = None
) -> Path | None:
    """The checkpoint to begin from: the `given`, or the newest whole one under `resume`; None to begin anew.

    What a killed run left half done in `folder` is deleted; `say` gets lines about what is used.

    Raises:
        UserError: the given one cannot be used, all are damaged, or the run is over and kept none.
    """
    clean(folder)
    if given is not None:
        found = given_checkpoint(given, folder)
        say(f"going on from {found}")
        return found
    if not resume:
        return None
    found, damaged = newest_whole(folder)
    for line in damaged:
        say(f"{line}; it is not used")
    if found is None and checkpoints(folder):
        raise UserError(f"no checkpoint of {folder} can be resumed: {'; '.join(damaged)}")
    if found is None:
        refuse_to_train_again(folder)
    say(f"resuming from {found}" if found else f"{folder} has no checkpoint yet; starting anew")
    return found
