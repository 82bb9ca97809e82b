"""A run as it stands at this moment, out of files that are read again only when they were written to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...plain_files import MOST_BYTES
from ..charts.number_format import number
from ..readers.confined_files import Signature, names_inside, open_inside, signature
from ..readers.incidents import incidents, stall
from ..readers.metrics import Metrics
from ..readers.run import SavedRun, parse, read_evaluation, read_rewards
from ..readers.samples import Sample, mapping, read_samples
from .completions import Completion, newest_completions
from .metrics_tail import MetricsTail

MOST_SAMPLES = 6
WATCHED = (
    "metrics.jsonl",
    "config.yaml",
    "eval.json",
    "samples.json",
    "log.txt",
    "model/config.json",
    "report.html",
)
RECENT = 50
"""Steps over which the speed is taken."""


@dataclass(frozen=True)
class RunSnapshot:
    """Everything that the page shows of a run at one moment."""

    run: SavedRun
    stalled: str | None
    finished: bool
    step: int | None
    planned: int | None
    seconds_per_step: float | None
    seconds_left: float | None
    written: float | None
    """When metrics came last, in seconds since the epoch."""
    completions_step: str
    completions: tuple[Completion, ...]


class FollowedRun:
    """One run folder; `now()` reads what changed since the last call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tail = MetricsTail(folder)
        self._parsed: dict[str, tuple[Signature, Any, list[str]]] = {}
        self._made: dict[str, tuple[Any, Any]] = {}

    def stamp(self) -> tuple[Any, ...]:
        """Equal as long as no file was written to; also another one every half minute."""
        found: list[Any] = [int(time.time() // 30)]
        for name in WATCHED:
            file = open_inside(self.folder, name)
            if file is None:
                found.append(None)
                continue
            with file:
                found.append(signature(file))
        return (*found, *(tuple(names_inside(self.folder, name)) for name in ("incidents", "completions")))

    def now(self) -> RunSnapshot:
        """The run at this moment; files that are missing, cut off or damaged are said in its notes."""
        metrics = self._tail.read()
        written = self._tail.written / 1e9 or None
        notes: list[str] = list(metrics.notes)
        config = mapping(self._file("config.yaml", "how the run was set up", notes))
        measured = self._file("eval.json", "accuracy", [])
        evaluation, rewards = read_evaluation(measured, []), read_rewards(measured)
        samples = self._samples(notes)
        has_model = self._is_file("model/config.json")
        finished = bool(evaluation["after"] or rewards["after"]) or (has_model and not evaluation["before"])
        run = SavedRun(
            name=self.folder.resolve().name,
            config=config,
            metrics=metrics,
            evaluation=evaluation,
            samples=samples,
            has_model=has_model,
            dated=None,
            notes=tuple(notes),
            incidents=tuple(incidents(self.folder, metrics)),
            rewards=rewards,
        )
        step = int(metrics.steps[-1]) if len(metrics.steps) else None
        planned = number(config.get("max_steps"))
        speed = _speed(metrics)
        left = planned - step if planned is not None and step is not None and planned > 0 else None
        since = time.time() - written if written else 0.0
        completions_step, completions = self._completions()
        return RunSnapshot(
            run=run,
            stalled=None if finished else stall(metrics, since),
            finished=finished,
            step=step,
            planned=int(planned) if planned is not None and planned > 0 else None,
            seconds_per_step=speed,
            seconds_left=left * speed if left is not None and speed is not None and not finished else None,
            written=written,
            completions_step=completions_step,
            completions=completions,
        )

    def _file(self, name: str, what: str, notes: list[str]) -> Any:
        """A parsed file of the folder; None, and a note, if it cannot be had."""
        file = open_inside(self.folder, name)
        if file is None:
            notes.append(f"{name} is missing or no plain file, so {what} cannot be shown.")
            return None
        with file:
            found = signature(file)
            known = self._parsed.get(name)
            if known is None or known[0] != found:
                said: list[str] = []
                value = parse(name, file.read(MOST_BYTES + 1), what, said)
                known = self._parsed[name] = (found, value, said)
        notes.extend(known[2])
        return known[1]

    def _is_file(self, name: str) -> bool:
        file = open_inside(self.folder, name)
        if file is not None:
            file.close()
        return file is not None

    def _samples(self, notes: list[str]) -> tuple[Sample, ...]:
        saved = self._file("samples.json", "problems and answers", notes)
        return self._once("samples", id(saved), lambda: read_samples(saved, [], MOST_SAMPLES))

    def _completions(self) -> tuple[str, tuple[Completion, ...]]:
        names = names_inside(self.folder, "completions")
        step, rows = self._once("completions", tuple(names), lambda: newest_completions(self.folder))
        return step, tuple(rows)

    def _once(self, name: str, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made again only when `key` is another one."""
        known = self._made.get(name)
        if known is None or known[0] != key:
            known = self._made[name] = (key, make())
        return known[1]


def _speed(metrics: Metrics) -> float | None:
    """Median seconds of the last steps."""
    _, seconds = metrics.recorded("seconds")
    return float(np.median(seconds[-RECENT:])) if len(seconds) else None
