"""What the processes of a run tell each other through its folder: stop, what failed, lines to say.

Ray's own messages end with whichever process noticed last; the first failure is what a person needs.
"""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...plain_files import parse_json
from ...run_folder import write_json, write_text
from ..checkpoints import StoppedError

FOLDER = ".verl"


class FailedError(RuntimeError):
    """A process of the run failed; the text is what it said first."""


class RunSignals:
    """Files in the hidden folder `.verl` of a run's folder, which all processes can reach."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder) / FOLDER
        self._stop, self._failure = self.folder / "stop", self.folder / "failure.json"
        self._lines = self.folder / "lines"

    def clear(self) -> None:
        """Forget what an earlier process of the run left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in (self._stop, self._failure, self._lines):
            file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Take the folder away; nothing of a run that ended is in it."""
        self.clear()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    # --- from the command to the trainer --------------------------------------------------------------

    def ask_to_stop(self) -> None:
        """Have the trainer end after the step in hand."""
        write_text(self._stop, "")

    def stop_wanted(self) -> bool:
        """Whether the trainer should end."""
        return self._stop.exists()

    # --- from any process to the command ---------------------------------------------------------------

    def fail(self, error: BaseException, *, stopped: bool = False) -> None:
        """Keep the first failure of the run. `stopped`: it is neither the user's mistake nor a bug, as a
        `StoppedError` says by itself."""
        if self._failure.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        stopped = stopped or isinstance(error, StoppedError)
        kind = "stopped" if stopped else "user" if isinstance(error, UserError) else "failure"
        found = {"kind": kind, "text": _one_line(error), "advice": getattr(error, "advice", "")}
        shown = "".join(traceback.format_exception(error))
        write_json(self._failure, found | {"traceback": shown})

    def failure(self) -> dict[str, Any] | None:
        """`kind` (user, stopped, failure), `text`, `advice` and `traceback` of the first failure, if any."""
        if not self._failure.exists():
            return None
        return parse_json(self._failure.read_text(encoding="utf-8"))

    def raise_failure(self) -> None:
        """Raise the first failure of any process.

        Raises:
            UserError: it was the user's mistake.
            FailedError: it was anything else.
        """
        found = self.failure()
        if found is not None:
            raise (UserError if found["kind"] == "user" else FailedError)(found["text"])

    def say(self, line: str) -> None:
        """Have the command print one line."""
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + os.linesep)

    def lines(self, first: int) -> list[str]:
        """What was said, from the line of that number on."""
        if not self._lines.exists():
            return []
        whole = self._lines.read_text(encoding="utf-8").split(os.linesep)[:-1]
        return [str(parse_json(line)) for line in whole[first:]]


def _one_line(error: BaseException) -> str:
    if isinstance(error, StoppedError):
        return error.what
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"[:2000]
