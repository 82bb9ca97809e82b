"""The gradient test's results as tables and as one page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

from ...analysis.charts.number_format import MISSING, numeral, percent
from ...analysis.pages.base import page
from ...run_folder import write_json, write_text
from ..results.table import Rows, markdown
from ..study.folder import StudyFolder
from .token_classes import PARTS

HEADINGS = {
    "noise to signal": "noise to signal",
    "ln ratio to even": "ln of ratio to even",
    "relative noise": "noise, even = 1",
    "alignment": "alignment",
    "progress": "gain at equal size",
    "progress under Adam": "gain under Adam",
}


STEPS = {
    "SGD": "progress",
    "clipped SGD": "progress under a clip",
    "Adam": "progress under Adam",
}
"""Ways of taking a step, and where a weighting's gain under each is found."""


def estimate(found: Mapping[str, Any], digits: int = 2) -> str:
    """A value with its standard error: `0.55 ± 0.23`."""
    value, error = found["value"], found["error"]
    if value is None or error is None or math.isnan(value) or math.isnan(error):
        return MISSING
    if abs(value) >= 1000 or error >= 1000:
        return f"{numeral(value, 3)} ± {numeral(error, 2)}"
    return f"{value:.{digits}f} ± {error:.{digits}f}".replace("-", "−")


def weighting_rows(results: Mapping[str, Any]) -> Rows:
    """One row per weighting of the tokens."""
    headings = ["", *HEADINGS.values()]
    rows = [
        [name, *(estimate(found[key]) for key in HEADINGS)] for name, found in results["weightings"].items()
    ]
    return headings, rows


def gain_rows(results: Mapping[str, Any]) -> Rows:
    """What an update gains over even weights by the way of stepping: of weightings, then at most."""
    rows = [
        [name, *(estimate(found[key]) for key in STEPS.values())]
        for name, found in results["weightings"].items()
    ]
    rows += [
        [f"best of {one['parts']}, {one['rollouts']} rollouts",
         *(estimate(one["gains"][step]) if step in one["gains"] else MISSING for step in STEPS)]
        for one in results["ceilings"]
    ]  # fmt: skip
    return ["gain over even weights", *STEPS], rows


def ceiling_weight_rows(results: Mapping[str, Any]) -> Rows:
    """The weights that gain most, even weights being 1; the mean of those that the two halves give."""
    rows = [
        [f"{one['parts']}, {one['rollouts']} rollouts, {step}", ", ".join(f"{w:.2f}" for w in weights)]
        for one in results["ceilings"]
        for step, weights in one["weights"].items()
    ]
    return ["best weights", "from the first part to the last"], rows


def weight_rows(results: Mapping[str, Any]) -> Rows:
    """Where each weighting puts its weight."""
    headings = ["share of the weight on", *(part.removesuffix(" only") for part in PARTS)]
    rows = [
        [name, *(percent(found["weight"][part]) for part in PARTS)]
        for name, found in results["weightings"].items()
        if found["weight"] is not None
    ]
    return headings, rows


def class_rows(results: Mapping[str, Any]) -> Rows:
    """How the gradient of even weights is made up."""
    headings = ["even weights", "share of the noise", "share of the signal"]
    return headings, [
        [
            part.removesuffix(" only"),
            *(estimate(results[f"{what} by class"][part]) for what in ("noise", "signal")),
        ]
        for part in PARTS
    ]


def gradient_tables(results: Mapping[str, Any]) -> str:
    """All tables of the test as Markdown."""
    about = (
        f"{results['batches']} batches of {results['rollouts']} rollouts; ± is a jackknife standard error.\n"
    )
    shown = [weighting_rows, gain_rows, class_rows, weight_rows]
    shown += [ceiling_weight_rows] if ceiling_weight_rows(results)[1] else []
    return "\n".join([about, *(markdown(*rows(results)) for rows in shown)])


def write_gradient(folder: StudyFolder, results: Mapping[str, Any]) -> None:
    """Write gradient.json, gradient.md, gradient.csv and gradient.html into the folder."""
    write_json(folder.path / "gradient.json", results)
    write_text(folder.path / "gradient.md", gradient_tables(results))
    write_text(folder.path / "gradient.csv", _csv(results))
    tables = {
        "weightings": weighting_rows(results),
        "gains": gain_rows(results),
        "best": ceiling_weight_rows(results),
        "classes": class_rows(results),
        "weight": weight_rows(results),
    }
    text = page("gradient.html", style="comparison.css", results=results, tables=tables)
    write_text(folder.path / "gradient.html", text)


def _csv(results: Mapping[str, Any]) -> str:
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    keys = dict.fromkeys([*HEADINGS, *STEPS.values()])
    writer.writerow(["weighting", *(f"{key}{part}" for key in keys for part in ("", " error"))])
    for name, found in results["weightings"].items():
        writer.writerow([name, *(found[key][part] for key in keys for part in ("value", "error"))])
    return held.getvalue()
