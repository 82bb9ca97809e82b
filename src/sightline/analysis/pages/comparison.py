"""Several runs on one page: accuracies, curves on top of each other, what was set differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...run_folder import write_text
from ..charts.geometry import interval_chart
from ..charts.metric_titles import groups
from ..charts.number_format import counted, points
from ..charts.overlays import letter, overlay_chart
from ..figures.curves import curves, quantities
from ..figures.sources import INCIDENTAL, FigureSource, labels, read_source
from ..readers.metrics import Metrics
from ..readers.run import SavedRun
from ..readers.settings import settings
from .base import page
from .run_sections import rank, rewards_accuracy

MOST_RUNS = 60
MOST_SETTINGS = 200


def write_comparison(folders: Sequence[Path], target: Path) -> Path:
    """Write one page that compares runs into the file `target` and return its path.

    Accuracy before and after training with intervals, curves of all runs in the same charts, and every
    setting that differs. Runs that differ only in their seed are one experiment: one letter, one line
    with a band from the lowest to the highest. Inspect folders are left out, since they have no curves.

    Raises:
        UserError: a folder is neither run nor inspection, none is a run, or `target` cannot be written.
    """
    sources = [read_source(Path(folder)) for folder in folders]
    runs = [source.run for source in sources if source.run is not None]
    if not runs:
        raise UserError("none of the folders is a run of `sightline train`; a comparison needs at least one")
    notes = _notes(sources)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(
            target, page("comparison.html", style="comparison.css", **content(runs[:MOST_RUNS], notes))
        )
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror}; choose another --output_dir or change its permissions"
        ) from error
    return target


def content(runs: Sequence[SavedRun], notes: Sequence[str]) -> dict[str, Any]:
    """All values that the template of the page shows."""
    told = labels([run.config for run in runs])
    order = list(dict.fromkeys(told))
    labelled = [(label, run.metrics) for label, run in zip(told, runs, strict=True) if len(run.metrics.steps)]
    rows = _rows(runs, told, order)
    protocols = sorted(
        {name for run in runs for when in run.evaluation.values() for name in when},
        key=lambda name: (rank(name), name),
    )
    return {
        "runs": rows,
        "experiments": [{"letter": letter(place), "place": place, "label": label, "count": told.count(label)}
                        for place, label in enumerate(order)],
        "protocols": protocols,
        "interval_charts": _interval_charts(rows, protocols),
        "curves": _overlays(labelled, order),
        "settings": _differing(runs, rows),
        "notes": notes,
    }  # fmt: skip


def _notes(sources: Sequence[FigureSource]) -> list[str]:
    notes = [
        f"{source.name}: {note}" for source in sources if source.run is not None for note in source.notes
    ]
    left_out = [source.name for source in sources if source.run is None]
    if left_out:
        notes.append(f"Left out, not runs of `sightline train`: {', '.join(left_out)}.")
    if len(sources) - len(left_out) > MOST_RUNS:
        notes.append(f"{len(sources) - len(left_out)} runs were given; the first {MOST_RUNS} are compared.")
    tasks = {str(source.run.config.get("task")) for source in sources if source.run is not None}
    if len(tasks) > 1:
        notes.append(f"The runs are of {counted(len(tasks), 'task')}; their accuracies do not compare.")
    return notes


def _rows(runs: Sequence[SavedRun], told: Sequence[str], order: Sequence[str]) -> list[dict[str, Any]]:
    """One row per run, those of one experiment together, each with a short code such as B2."""
    rows = []
    for place, label in enumerate(order):
        members = [run for run, own in zip(runs, told, strict=True) if own == label]
        for number, run in enumerate(members, start=1):
            code = letter(place) + (str(number) if len(members) > 1 else "")
            accuracies = {name: _pair(run, name) for when in run.evaluation.values() for name in when}
            steps = int(run.metrics.steps[-1]) if len(run.metrics.steps) else None
            row = {"code": code, "place": place, "label": label, "run": run, "steps": steps}
            rows.append({**row, "accuracies": accuracies})
    return rows


def _pair(run: SavedRun, name: str) -> dict[str, Any]:
    before, after = (run.evaluation.get(when, {}).get(name) for when in ("before", "after"))
    change = points(after.value - before.value if before is not None and after is not None else None)
    return {"before": before, "after": after, "change": change}


def _interval_charts(rows: Sequence[Mapping[str, Any]], protocols: Sequence[str]) -> list[Any]:
    charts = []
    for name in protocols:
        measured = {}
        for row in rows:
            pair = row["accuracies"].get(name, {})
            shown = {when: pair.get(when) for when in ("before", "after")}
            measured[row["code"]] = {
                when: (one.value, one.low, one.high) for when, one in shown.items() if one is not None
            }
        charts.append((name, interval_chart(f"{name} accuracy", {k: v for k, v in measured.items() if v})))
    return charts


def _overlays(labelled: Sequence[tuple[str, Metrics]], order: Sequence[str]) -> dict[str, list[Any]]:
    """Heading -> charts of the quantities that any run recorded."""
    recorded = dict(quantities(labelled))
    if all(rewards_accuracy(metrics) for _, metrics in labelled):
        recorded.pop("reward", None)
    return {
        heading: [overlay_chart(q, curves(labelled, q.name), order) for q in chosen]
        for heading, chosen in groups(recorded).items()
    }


def _differing(runs: Sequence[SavedRun], rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Settings that differ between runs, with each run's value in the order of `rows`."""
    values = {}
    for run in runs:
        chosen, rest = settings(run.config)
        values[id(run)] = {setting.name: setting.value for setting in (*chosen, *rest)}
    names = sorted({name for found in values.values() for name in found})
    told = [(name, [values[id(row["run"])].get(name, "–") for row in rows]) for name in names]
    kept = [
        (name, row) for name, row in told if len(set(row)) > 1 and (name not in INCIDENTAL or name == "seed")
    ]
    return kept[:MOST_SETTINGS]
