"""The papers' figures from saved runs: SVG and PNG, with the numbers of each beside it as CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from ...run_folder import write_text
from ..charts.metric_titles import groups
from ..readers.metrics import Metrics
from . import tables
from .curves import Curve, curves, quantities
from .sources import AnswerSet, FigureSource, labels, read_source
from .tables import FigureTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["labels", "read_source", "write_figures"]

OF_ANSWERS: dict[str, Callable[[Sequence[Any]], FigureTable]] = {
    "dependency-histogram": tables.histogram,
    "dependency-mass": tables.mass,
    "answer-means": tables.means,
    "over-progress": tables.progress,
    "late-over-early": tables.ratios,
    "word-classes": tables.classes,
    "top-words": tables.highest_words,
}
"""File name -> its table."""


def write_figures(folders: Sequence[Path], target: Path) -> tuple[list[Path], list[str]]:
    """Draw every figure that the run and inspect folders have numbers for, into `target`.

    Each figure is `NAME.svg`, `NAME.png` and `NAME.csv`. Runs that differ only in their seed are one
    experiment: their answers are taken together, and their curves become a mean with a band from the
    lowest to the highest. Figures of answers are named after their experiment where there are several.

    Returns:
        The files, and notes on figures that could not be drawn.

    Raises:
        UserError: a folder is neither a run nor an inspection, or `target` cannot be written to.
    """
    sources = [read_source(Path(folder)) for folder in folders]
    try:
        target.mkdir(parents=True, exist_ok=True)
        return _write(sources, target)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror}; choose another --output_dir or change its permissions"
        ) from error


def _write(sources: Sequence[FigureSource], target: Path) -> tuple[list[Path], list[str]]:
    paths: list[Path] = []
    experiments = _experiments(sources)
    for name, sets in zip(_file_names(list(experiments)), experiments.values(), strict=True):
        for told in sets:
            ending = "".join(f"-{part}" for part in (told.name, name) if part)
            paths += _of_answers(told, target, ending)
    notes = [
        f"{source.name} holds no scored answers, so there are no figures of them"
        for source in sources
        if not source.sets
    ]
    if any(source.metrics is not None for source in sources):
        paths += _training(sources, target)
    else:
        notes.append("there are no training curves")
    return paths, notes


def _experiments(sources: Sequence[FigureSource]) -> dict[str, list[AnswerSet]]:
    """Label -> its sets of answers, those of several seeds together."""
    runs = [source for source in sources if source.run is not None]
    told = dict(zip(map(id, runs), labels([run.run.config for run in runs if run.run]), strict=True))
    found: dict[str, dict[str, list[AnswerSet]]] = {}
    for source in sources:
        label = told.get(id(source), source.name)
        for one in source.sets:
            found.setdefault(label, {}).setdefault(one.name, []).append(one)
    return {
        label: [
            AnswerSet(
                name, [a for one in sets for a in one.answers], [s for one in sets for s in one.attention]
            )
            for name, sets in by_name.items()
        ]
        for label, by_name in found.items()
    }


def _file_names(names: Sequence[str]) -> list[str]:
    """Names that a file may have, each once; empty for a single one."""
    if len(names) == 1:
        return [""]
    safe = [re.sub(r"[^\w.-]+", "_", name).strip("._")[:40] or "run" for name in names]
    return [name if safe.count(name) == 1 else f"{name}-{place}" for place, name in enumerate(safe, start=1)]


def _of_answers(told: AnswerSet, target: Path, ending: str) -> list[Path]:
    from . import draw

    drawn: dict[str, Callable[[FigureTable], Figure]] = {
        "dependency-histogram": draw.histogram,
        "dependency-mass": draw.mass,
        "answer-means": draw.means,
        "over-progress": draw.progress,
        "late-over-early": draw.ratios,
        "word-classes": draw.classes,
        "top-words": draw.highest_words,
    }
    paths = []
    for name, compute in OF_ANSWERS.items():
        paths += _figure(compute(told.answers), drawn[name], target, f"{name}{ending}")
    paths += _figure(tables.attention(told.attention), draw.attention, target, f"attention{ending}")
    return paths


def _figure(table: FigureTable, draw: Callable[[FigureTable], Figure], target: Path, name: str) -> list[Path]:
    """One figure with its numbers; nothing if there are none."""
    from .canvas import save, styled

    if not table.rows:
        return []
    with styled():
        paths = save(draw(table), target, name)
    return [*paths, write_csv(target / f"{name}.csv", table)]


def _training(sources: Sequence[FigureSource], target: Path) -> list[Path]:
    from . import draw
    from .canvas import save, styled

    labelled = labelled_metrics(sources)
    order = list(dict.fromkeys(label for label, _ in labelled))
    paths = []
    for heading, chosen in groups(quantities(labelled)).items():
        drawn = [(quantity, curves(labelled, quantity.name)) for quantity in chosen]
        name = f"training-{heading.lower()}"
        with styled():
            paths += save(draw.training(drawn, order), target, name)
        paths.append(write_csv(target / f"{name}.csv", curve_table({q.name: found for q, found in drawn})))
    return paths


def labelled_metrics(sources: Sequence[FigureSource]) -> list[tuple[str, Metrics]]:
    """The curves of every run that has any, under what tells its experiment apart."""
    runs = [source.run for source in sources if source.run is not None]
    told = labels([run.config for run in runs])
    return [(label, run.metrics) for label, run in zip(told, runs, strict=True) if len(run.metrics.steps)]


def curve_table(drawn: Mapping[str, Sequence[Curve]]) -> FigureTable:
    """The numbers behind curves: quantity -> its curves."""
    rows = []
    for name, found in drawn.items():
        for curve in found:
            numbers = (
                column.tolist() for column in (curve.steps, curve.mean, curve.low, curve.high, curve.runs)
            )
            rows += [(name, curve.label, *row) for row in zip(*numbers, strict=True)]
    return FigureTable(("quantity", "experiment", "step", "mean", "lowest", "highest", "runs"), tuple(rows))


def write_csv(path: Path, table: FigureTable) -> Path:
    """Write a table; text that a spreadsheet would take for a formula gets a leading apostrophe."""
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([[_cell(value) for value in row] for row in table.rows])
    write_text(path, held.getvalue())
    return path


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    if isinstance(value, str):
        text = value.encode("utf-8", "replace").decode()
        return f"'{text}" if len(text) > 1 and text[0] in "=+-@\t\r" else text
    return value
