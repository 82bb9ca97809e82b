"""The end of a run that cannot go on, for a reason that is neither the user's nor a bug."""

from __future__ import annotations

from pathlib import Path

from .checkpoints import newest_whole


class StoppedError(RuntimeError):
    """Training ended early: what happened, the last good checkpoint, and how to go on, in one line."""

    def __init__(self, what: str, folder: Path, advice: str = "put it right, then continue with --resume"):
        last, damaged = newest_whole(folder)
        good = f"the last good checkpoint is {last}" if last is not None else "there is no checkpoint yet"
        notes = "".join(f"; {line}" for line in damaged)
        super().__init__(f"training stopped: {what}; {good}{notes}; {advice}")
