"""Sends what a user's reward prints to the log, where there is one; standard output is for results."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

_MOST = 10_000
"""Characters of a line that the log takes."""


@contextmanager
def prints_to_log(name: str) -> Iterator[None]:
    """Lines that are printed go to the logger `sightline.reward`; where nothing logs, as in a notebook,
    they go where they always go."""
    if not logging.getLogger().hasHandlers():
        yield
        return
    lines = _Lines(name)
    try:
        with redirect_stdout(lines):
            yield
    finally:
        lines.end()


class _Lines(io.TextIOBase):
    """Writes whole lines to the log."""

    def __init__(self, name: str):
        self._name = name
        self._begun = ""
        self._log = logging.getLogger("sightline.reward")
        self._log.setLevel(logging.INFO)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        if len(self._begun) > _MOST:
            whole, self._begun = [*whole, self._begun], ""
        for line in whole:
            if line.strip():
                self._log.info("%s printed: %s", self._name, line[:_MOST])
        return len(text)

    def end(self) -> None:
        """Writes the line that was begun."""
        if self._begun:
            self.write("\n")
