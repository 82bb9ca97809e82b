"""What figures are drawn from: the answers and the curves of run folders and inspect folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..readers.inspect_data import INSPECTION, read_inspection
from ..readers.metrics import Metrics
from ..readers.run import SavedRun, read_run
from ..readers.samples import SavedAnswer
from ..readers.settings import shown

MOST_SAMPLES = 100_000

INCIDENTAL = (
    "seed",
    "data_seed",
    "output_dir",
    "run_name",
    "logging_dir",
    "started",
    "git_revision",
    "versions",
    "set_by",
    "overwrite",
    "resume",
    "resume_from_checkpoint",
)
"""Settings in which two runs of one experiment may differ."""
LONGEST_LABEL = 60


@dataclass(frozen=True)
class AnswerSet:
    """Scored answers that belong together: those of an inspection, or a run's before or after training."""

    name: str
    """Empty, "before" or "after"."""
    answers: Sequence[SavedAnswer]
    attention: Sequence[Mapping[str, Sequence[float | None]]]
    """Of each answer the shares of attention; empty mappings where they were not recorded."""


@dataclass(frozen=True)
class FigureSource:
    """One folder."""

    name: str
    run: SavedRun | None
    """None for an inspect folder."""
    sets: tuple[AnswerSet, ...]
    notes: tuple[str, ...]

    @property
    def metrics(self) -> Metrics | None:
        """The curves, if there are any."""
        return self.run.metrics if self.run is not None and len(self.run.metrics.steps) else None


def read_source(folder: Path) -> FigureSource:
    """Read a run folder or an inspect folder.

    Raises:
        UserError: `folder` is neither.
    """
    if (folder / INSPECTION).is_file():
        found = read_inspection(folder)
        answers = found.answers
        told = AnswerSet("", [one.answer for one in answers], [one.attention for one in answers])
        return FigureSource(found.name, None, (told,), found.notes)
    run = read_run(folder, MOST_SAMPLES)
    sets = []
    for name in ("before", "after"):
        answers = [told for sample in run.samples if (told := getattr(sample, name)) is not None]
        if answers:
            sets.append(AnswerSet(name, answers, [{} for _ in answers]))
    return FigureSource(run.name, run, tuple(sets), run.notes)


def labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells each run's experiment apart, in words; equal labels are seeds of one experiment.

    The method's name where methods differ, then every other setting that differs between the runs. Runs
    whose settings agree up to their seed share a label.
    """
    flat = [_flat(config) for config in configs]
    names = sorted({name for row in flat for name in row})
    differing = [name for name in names if len({repr(row.get(name)) for row in flat}) > 1]
    chosen = [name for name in differing if name.split(".")[0] not in INCIDENTAL]
    by_method = {row.get("method") for row in flat}
    if len(by_method) > 1:
        chosen = _not_implied(chosen, flat)
    told = []
    for row in flat:
        parts = [shown(row.get("method", "run"))] if len(by_method) > 1 or not chosen else []
        parts += [f"{name} {shown(row.get(name))}" for name in chosen if name != "method"]
        told.append(", ".join(parts)[:LONGEST_LABEL])
    return told


def _not_implied(names: list[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of these settings, those that differ between runs of one method too."""
    methods = {row.get("method") for row in rows}
    return [
        name
        for name in names
        if any(
            len({repr(row.get(name)) for row in rows if row.get("method") == method}) > 1
            for method in methods
        )
    ]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and not prefix.count("."):
            rows |= _flat(value, f"{prefix}{key}.")
        else:
            rows[f"{prefix}{key}"] = value
    return rows
