"""What a run logged while it trained, as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...plain_files import Refused, parse_json
from ..charts.number_format import counted, number

MOST_COLUMNS = 500
MOST_BYTES = 256_000_000
"""Of a file of metrics; what comes after them is not read."""
MOST_CELLS = 30_000_000
"""Steps times quantities."""
MOST_IN_A_LINE = 1_000_000
"""Bytes; a longer line is none of ours and is skipped."""
_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Metrics:
    """The lines of `metrics.jsonl`, one row per optimizer step in ascending order."""

    steps: np.ndarray
    """float64 [S], strictly ascending."""
    columns: Mapping[str, np.ndarray]
    """Quantity -> float64 [S], NaN where a line did not hold a finite number."""
    notes: tuple[str, ...] = ()
    """What was skipped or replaced, in words."""

    def recorded(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The steps and values of one quantity where it was recorded; empty arrays if it never was."""
        values = self.columns.get(name, np.full(len(self.steps), np.nan))
        there = np.isfinite(values)
        return self.steps[there], values[there]


class MetricsReader:
    """Lines of metrics as they come in, kept as columns.

    A line that is no JSON object or has no finite `step` is skipped and counted in the notes.
    """

    def __init__(self) -> None:
        self._steps = array("d")
        self._values: dict[str, array] = {}
        self._lines = 0
        self._broken: list[int] = []
        self.cut = False
        """Whether the file went on after what was read of it."""

    def feed(self, lines: Iterable[str]) -> None:
        """Read further lines."""
        for line in lines:
            self._lines += 1
            row = _row(line) if len(line) <= MOST_IN_A_LINE else {}
            step = number(row.get("step"))
            if step is not None and self._cells(more=0) > MOST_CELLS:
                self.cut = True
            elif step is not None:
                self._append(step, row)
            elif line.strip():
                self._broken.append(self._lines)

    def _append(self, step: float, row: Mapping[str, object]) -> None:
        for name, value in row.items():
            found = number(value)
            if name == "step" or found is None:
                continue
            column = self._values.get(name)
            if column is None:
                if self._cells(more=1) > MOST_CELLS:
                    self.cut = True
                if self.cut or len(self._values) >= MOST_COLUMNS:
                    continue
                column = self._values[name] = array("d")
            missing = len(self._steps) - len(column)
            if missing:
                column.extend([np.nan] * missing)
            column.append(found)
        self._steps.append(step)

    def _cells(self, more: int) -> int:
        """What a table would hold with `more` quantities."""
        return (len(self._steps) + 1) * (len(self._values) + more)

    def table(self) -> Metrics:
        """All that was read, sorted by step; of several lines for one step the last counts."""
        count = len(self._steps)
        steps, last = np.unique(np.array(self._steps, dtype=float)[::-1], return_index=True)
        rows = count - 1 - last
        columns = {}
        for name, values in self._values.items():
            column = np.full(count, np.nan)
            column[: len(values)] = values
            if np.isfinite(column[rows]).any():
                columns[name] = column[rows]
        return Metrics(steps, columns, tuple(self._notes(count - len(steps))))

    def _notes(self, repeated: int) -> Iterator[str]:
        broken = list(self._broken)
        if broken and broken[-1] == self._lines:
            yield "The last line of metrics.jsonl is cut off or unreadable; it was skipped."
            broken.pop()
        if broken:
            lines = counted(len(broken), "line")
            yield f"metrics.jsonl: {lines} unreadable or without a step were skipped, first line {broken[0]}."
        if self.cut:
            yield "metrics.jsonl is larger than any of a run of ours; what comes late in it was not read."
        if repeated:
            yield f"metrics.jsonl repeats {counted(repeated, 'step')} (a resumed run); the later lines count."
        if len(self._values) >= MOST_COLUMNS:
            yield f"metrics.jsonl holds many quantities; the first {MOST_COLUMNS} were read."


def read_metrics(path: Path) -> Metrics:
    """Read `metrics.jsonl`, however it was left; a missing file gives zero rows.

    A cut-off last line, as an interrupted run leaves it, is named as such in the notes.
    """
    reader = MetricsReader()
    if path.is_file():
        with path.open("rb") as file:
            for part in whole_lines(file, MOST_BYTES):
                reader.feed(part)
            reader.cut |= bool(file.read(1))
    return reader.table()


def whole_lines(file: BinaryIO, most: int) -> Iterator[list[str]]:
    """The lines of the first `most` bytes of a file, in parts. An endless line comes in pieces, which are
    no JSON."""
    rest, left = b"", most
    while left > 0 and (part := file.read(min(_AT_ONCE, left))):
        left -= len(part)
        whole, newline, rest = (rest + part).rpartition(b"\n")
        if len(rest) > MOST_IN_A_LINE:
            whole, newline, rest = whole + newline + rest, b"\n", b""
        if newline:
            yield whole.decode("utf-8", "replace").split("\n")
    if rest:
        yield [rest.decode("utf-8", "replace")]


def _row(line: str) -> dict[str, object]:
    try:
        row = parse_json(line)
    except Refused:
        return {}
    return row if isinstance(row, dict) else {}
