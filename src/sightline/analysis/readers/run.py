"""A run folder as it lies on the disk, whole or interrupted, turned into plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...plain_files import Refused, parse_plain, read_plain
from ...run_folder import RunFolder
from ..charts.number_format import number
from .incidents import Incident, incidents
from .metrics import Metrics, read_metrics
from .samples import MOST_SAMPLES, Sample, mapping, read_samples

MOST_REWARDS = 50
"""Rows of the table of rewards."""


@dataclass(frozen=True)
class Interval:
    """A measured share with its 95 % interval, each in [0, 1], and the number of problems."""

    value: float
    low: float | None
    high: float | None
    count: int | None

    def overlaps(self, other: Interval) -> bool:
        """Whether the two intervals share a value; an end that is missing is the value itself."""
        ends = [(_or(i.low, i.value), _or(i.high, i.value)) for i in (self, other)]
        return max(low for low, _ in ends) <= min(high for _, high in ends)


@dataclass(frozen=True)
class SavedRun:
    """All that a page needs to know about a run; missing parts are empty and said in `notes`."""

    name: str
    config: Mapping[str, Any]
    metrics: Metrics
    evaluation: Mapping[str, Mapping[str, Interval]]
    """"before" and "after" -> protocol ("greedy", ...) -> accuracy."""
    samples: tuple[Sample, ...]
    has_model: bool
    dated: str | None
    """When the configuration was written, from the file itself."""
    notes: tuple[str, ...]
    incidents: tuple[Incident, ...] = ()
    rewards: Mapping[str, Mapping[str, Interval]] = field(default_factory=lambda: {"before": {}, "after": {}})
    """"before" and "after" -> reward -> its mean over the greedy answers."""


def read_run(path: Path, most_samples: int = MOST_SAMPLES) -> SavedRun:
    """Read a run folder; anything missing or damaged becomes a note, not an error.

    Raises:
        UserError: `path` is not a folder, or holds none of a run's files.
    """
    folder = RunFolder(path)
    expected = (folder.config, folder.metrics, folder.evaluation, folder.samples)
    if not any(file.is_file() for file in expected):
        names = ", ".join(file.name for file in expected)
        raise UserError(
            f"{path} is not a run folder: expected one that holds {names}, as `sightline train` writes"
        )
    notes: list[str] = []
    config = mapping(_load(folder.config, "how the run was set up", notes))
    metrics = read_metrics(folder.metrics)
    if not len(metrics.steps):
        notes.append("metrics.jsonl holds no finished step, so there are no curves.")
    measured = _load(folder.evaluation, "accuracy", notes)
    evaluation = read_evaluation(measured, notes)
    samples = read_samples(_load(folder.samples, "problems and answers", notes), notes, most_samples)
    has_model = (folder.model / "config.json").is_file()
    if not has_model:
        notes.append("There is no trained model in model/: the run was interrupted or is still going on.")
    return SavedRun(
        name=path.resolve().name,
        config=config,
        metrics=metrics,
        evaluation=evaluation,
        samples=samples,
        has_model=has_model,
        dated=_dated(folder.config),
        notes=(*notes, *metrics.notes),
        incidents=tuple(incidents(path, metrics)),
        rewards=read_rewards(measured),
    )


def _or(end: float | None, value: float) -> float:
    return value if end is None else end


def _load(path: Path, what: str, notes: list[str]) -> Any:
    if not path.is_file():
        notes.append(f"{path.name} is missing, so {what} cannot be shown.")
        return None
    try:
        return read_plain(path)
    except (Refused, OSError) as error:
        notes.append(_refused(path.name, what, error))
        return None


def parse(name: str, content: bytes, what: str, notes: list[str]) -> Any:
    """YAML or JSON by the file's name; None, and a note, if it is neither or more than we read."""
    try:
        return parse_plain(name, content)
    except Refused as error:
        notes.append(_refused(name, what, error))
        return None


def _refused(name: str, what: str, error: Exception) -> str:
    why = error.strerror if isinstance(error, OSError) else str(error)
    return f"{name} could not be read: it {why}, so {what} cannot be shown."


def _dated(path: Path) -> str | None:
    if not path.is_file():
        return None
    return f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d %H:%M} UTC"


def read_evaluation(saved: Any, notes: list[str]) -> dict[str, dict[str, Interval]]:
    """The accuracies of a parsed `eval.json`, "before" and "after"; what is not there is added to `notes`."""
    evaluation = {}
    for when in ("before", "after"):
        rows = mapping(mapping(saved).get(when))
        intervals = {str(name): _interval(row) for name, row in rows.items()}
        evaluation[when] = {name: interval for name, interval in intervals.items() if interval}
        if saved is not None and not evaluation[when] and "rewards" not in rows:
            notes.append(f"eval.json holds no accuracy {when} training.")
    return evaluation


def read_rewards(saved: Any) -> dict[str, dict[str, Interval]]:
    """The rewards of a parsed `eval.json`, "before" and "after"; no mapping has none."""
    found = {}
    for when in ("before", "after"):
        rows = mapping(mapping(mapping(saved).get(when)).get("rewards"))
        intervals = {str(name): _interval(row) for name, row in list(rows.items())[:MOST_REWARDS]}
        found[when] = {name: interval for name, interval in intervals.items() if interval}
    return found


def _interval(saved: Any) -> Interval | None:
    row = mapping(saved)
    value, low, high, count = (number(row.get(name)) for name in ("value", "low", "high", "n"))
    return None if value is None else Interval(value, low, high, None if count is None else int(count))
