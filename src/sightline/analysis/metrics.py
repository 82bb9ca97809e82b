"""What a run logged while it trained, as columns."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .numerals import counted, number

MOST_COLUMNS = 500


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


@dataclass
class _Columns:
    steps: array = field(default_factory=lambda: array("d"))
    values: dict[str, array] = field(default_factory=dict)

    def append(self, step: float, row: Mapping[str, object]) -> None:
        for name, value in row.items():
            found = number(value)
            if name == "step" or found is None:
                continue
            if name not in self.values:
                if len(self.values) >= MOST_COLUMNS:
                    continue
                self.values[name] = array("d")
            column = self.values[name]
            column.extend([np.nan] * (len(self.steps) - len(column)))
            column.append(found)
        self.steps.append(step)

    def table(self, notes: list[str]) -> Metrics:
        """Sorted by step; of several lines for one step (a resumed run) the last one counts."""
        count = len(self.steps)
        steps, last = np.unique(np.array(self.steps, dtype=float)[::-1], return_index=True)
        rows = count - 1 - last
        if repeated := count - len(steps):
            notes.append(
                f"metrics.jsonl repeats {counted(repeated, 'step')} (a resumed run); the later lines count."
            )
        if len(self.values) >= MOST_COLUMNS:
            notes.append(f"metrics.jsonl holds many quantities; the first {MOST_COLUMNS} were read.")
        columns = {}
        for name, values in self.values.items():
            values.extend([np.nan] * (count - len(values)))
            columns[name] = np.array(values, dtype=float)[rows]
        columns = {name: values for name, values in columns.items() if np.isfinite(values).any()}
        return Metrics(steps, columns, tuple(notes))


def read_metrics(path: Path) -> Metrics:
    """Read `metrics.jsonl`, however it was left.

    A line that is no JSON object or has no finite `step` is skipped and counted in `notes`; a cut-off
    last line, as an interrupted run leaves it, is named as such. A missing file gives zero rows.
    """
    columns, notes, broken, last_line = _Columns(), list[str](), list[int](), 0
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as lines:
            for last_line, line in enumerate(lines, start=1):
                row = _row(line)
                step = number(row.get("step"))
                if step is not None:
                    columns.append(step, row)
                elif line.strip():
                    broken.append(last_line)
    if broken and broken[-1] == last_line:
        notes.append("The last line of metrics.jsonl is cut off or unreadable; it was skipped.")
        broken.pop()
    if broken:
        lines = counted(len(broken), "line")
        notes.append(
            f"metrics.jsonl: {lines} unreadable or without a step were skipped, first line {broken[0]}."
        )
    return columns.table(notes)


def _row(line: str) -> dict[str, object]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}
