"""Reads the new lines of a growing metrics.jsonl."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from ..readers.confined_files import open_inside, signature
from ..readers.metrics import MOST_BYTES, Metrics, MetricsReader

REMEMBERED = 256
"""Bytes before the place reached, by which a file that was written anew is told from one that grew."""


class MetricsTail:
    """`metrics.jsonl` of a run, of which every line is read once.

    A last line that is still being written waits for its end. A file that became shorter, was replaced or
    was rewritten (a resumed run drops what came after its checkpoint) is read again from its beginning.
    """

    def __init__(self, folder: Path, name: str = "metrics.jsonl") -> None:
        self._folder, self._name = folder, name
        self._start()

    def _start(self) -> None:
        self._reader, self._place, self._before, self._inode = MetricsReader(), 0, b"", 0
        self._metrics = self._reader.table()
        self.written = 0
        """When the file was last written to, in nanoseconds; 0 if there is none."""

    def read(self) -> Metrics:
        """Everything that stands in the file now."""
        file = open_inside(self._folder, self._name)
        if file is None:
            self._start()
            return self._metrics
        with file:
            found = signature(file)
            if not self._grew(file, found.inode, found.size):
                self._start()
            self._inode, self.written = found.inode, found.written
            if found.size > self._place:
                self._feed(file)
        return self._metrics

    def _grew(self, file: BinaryIO, inode: int, size: int) -> bool:
        """Whether what was read still stands where it stood."""
        if self._place == 0:
            return True
        if inode != self._inode or size < self._place:
            return False
        file.seek(self._place - len(self._before))
        return file.read(len(self._before)) == self._before

    def _feed(self, file: BinaryIO) -> None:
        file.seek(self._place)
        changed = False
        while part := file.read(min(1 << 22, MOST_BYTES - self._place)):
            end = part.rfind(b"\n") + 1
            if end == 0 and len(part) == 1 << 22:  # no line of ours is that long
                end = len(part)
            if end == 0:
                break
            self._reader.feed(part[:end].decode("utf-8", "replace").removesuffix("\n").split("\n"))
            self._place += end
            self._before = (self._before + part[:end])[-REMEMBERED:]
            file.seek(self._place)
            changed = True
        self._reader.cut |= self._place >= MOST_BYTES
        if changed:
            self._metrics = self._reader.table()
