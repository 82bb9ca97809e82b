"""Writes docs/results.md, docs/results/ and their pictures from the raw files: `python results/write.py`.

Every number is computed here, from products.npz of the gradient test and evaluations.jsonl and
metrics.jsonl.gz of the runs; the words around them are in pages/.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sightline.analysis.charts.number_format import numeral, percent, points
from sightline.laboratory.gradient_test.gradients import EVEN
from sightline.laboratory.gradient_test.run import gradient_results
from sightline.laboratory.gradient_test.table import class_rows, estimate, weight_rows, weighting_rows
from sightline.laboratory.gradient_test.token_classes import PARTS, READ, TEMPLATE
from sightline.laboratory.results.paired import holm
from sightline.laboratory.results.power import detectable
from sightline.laboratory.results.summary import study_results
from sightline.laboratory.results.table import (
    DIFFERENCES,
    NUMBER,
    Rows,
    claim_rows,
    contrast_rows,
    difference,
    difference_rows,
    main_rows,
    markdown,
    measured,
    probability,
    unpaired_rows,
)
from sightline.laboratory.study.folder import StudyFolder

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
PAGES = {
    "results": "results.md",
    "gradient": "results/gradient.md",
    "shapes": "results/shapes.md",
    "shapes-2": "results/shapes-2.md",
    "updates": "results/updates.md",
    "ablations": "results/ablations.md",
}
"""Templates of pages/, and what they become in docs/."""
GRADIENTS = {
    "gradient-shapes": "Shapes, start",
    "gradient-shapes-later": "Shapes, after 40 steps",
    "gradient-shapes-2": "Shapes-2, start",
    "gradient-shapes-2-later": "Shapes-2, after 60 steps",
    "gradient-shapes-2-even": "Shapes-2, after 60 faster steps",
}
"""Folders of gradient tests, and what their columns are called."""
PUBLISHED = ("vgpo", "vppo", "pgpo", "papo")


def render() -> dict[str, str]:
    """File of docs/ -> its text, from the raw files."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "pages"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,  # noqa: S701 (Markdown, our own numbers)
    )  # fmt: skip
    environment.filters.update(
        numeral=numeral, percent=percent, points=points, estimate=estimate, probability=probability,
        difference=difference, measured=measured, detectable=_detectable,
    )  # fmt: skip
    found = measurements()
    return {file: environment.get_template(f"{name}.md.jinja").render(found) for name, file in PAGES.items()}


def measurements() -> dict[str, Any]:
    """All that the pages and pictures tell, by the names of the templates."""
    tests = {name: _gradient(HERE / name) for name in GRADIENTS}
    return {
        "tests": tests,
        "start": tests["gradient-shapes"],
        "late": tests["gradient-shapes-later"],
        "two": tests["gradient-shapes-2"],
        "later": tests["gradient-shapes-2-later"],
        "faster": tests["gradient-shapes-2-even"],
        "gains": markdown(*_gains({GRADIENTS[name]: test for name, test in tests.items()})),
        "ceilings": markdown(*_ceilings({GRADIENTS[name]: test for name, test in tests.items()})),
        "main": _study(HERE / "main-shapes"),
        "second": _study(HERE / "main-shapes-2"),
        "earlier": _study(HERE / "main-shapes-2", first_seed=0, seeds=8),
        "slow": _study(HERE / "slow-shapes-2"),
        "rates": _rates(HERE / "rates-shapes-2"),
        "null": _study(HERE / "null-shapes"),
        "ablations": _study(HERE / "ablations-shapes"),
        "update": _update(HERE / "update-shapes-2", tests["gradient-shapes-2-later"]),
        "small": _update(HERE / "update-shapes-2-small", tests["gradient-shapes-2-later"]),
    }


def _detectable(gap: Mapping[str, Any]) -> float:
    """The smallest true difference that is found with this spread and these seeds; NaN for one seed."""
    return math.nan if gap["spread"] is None else detectable(gap["spread"], gap["seeds"])


def _gradient(path: Path) -> dict[str, Any]:
    """The gradient test of a folder with its tables."""
    folder = StudyFolder(path)
    results = gradient_results(folder, folder.plan())
    tables = {"weightings": weighting_rows, "classes": class_rows, "weight": weight_rows}
    return results | {"tables": {name: markdown(*rows(results)) for name, rows in tables.items()}}


def _gains(tests: Mapping[str, Mapping[str, Any]]) -> Rows:
    """What the tests say of the weightings, side by side: the gain of an update of equal size."""
    names = dict.fromkeys(name for test in tests.values() for name in test["weightings"])
    gains = [
        [name, *(_gain(test["weightings"].get(name)) for test in tests.values())]
        for name in names
        if name != EVEN
    ]
    classes = [
        [f"{what} of even weights on {part.removesuffix(' only')} tokens",
         *(estimate(test[f"{what} by class"][part]) for test in tests.values())]
        for what in ("signal", "noise")
        for part in PARTS
    ]  # fmt: skip
    right = ["sampled answers right", *(percent(test["accuracy"]) for test in tests.values())]
    return ["", *tests], [*gains, *classes, right]


def _ceilings(tests: Mapping[str, Mapping[str, Any]]) -> Rows:
    """What the best constant weights of the labelled classes gain, by batch, beside those tried."""
    headings = ["checkpoint", "rollouts a step: gain at most", "best published", "`saturated`, clipped"]
    rows = []
    for checkpoint, test in tests.items():
        bounds = ", ".join(f"{one['rollouts']}: {estimate(one['gains']['SGD'])}" for one in test["ceilings"])
        weightings = test["weightings"]
        tried = {name: weightings[name]["progress"] for name in PUBLISHED if name in weightings}
        best = max(tried, key=lambda name: tried[name]["value"])
        ours = weightings.get("saturated")
        clipped = "" if ours is None else estimate(ours["progress under a clip"])
        rows.append([checkpoint, bounds, f"{best}, {estimate(tried[best])}", clipped])
    return headings, rows


def _gain(found: Mapping[str, Any] | None) -> str:
    return "" if found is None else estimate(found["progress"])


def _study(path: Path, **other: int) -> dict[str, Any]:
    """The study of a folder with its tables; `other` seeds than its plan reports."""
    folder = StudyFolder(path)
    results = study_results(folder, replace(folder.plan(), **other))
    tables = {
        "main": main_rows(results),
        "steps": difference_rows(results, "differences", DIFFERENCES),
        "detectable": _detectable_rows(results),
        "unpaired": unpaired_rows(results, DIFFERENCES[0]),
        "claims": claim_rows(results),
        "contrasts": contrast_rows(results, DIFFERENCES),
    }
    first = folder.run(results["runs"][0]["arm"], results["runs"][0]["seed"])
    minus: dict[str, dict[str, Any]] = {}
    for one in results["contrasts"]:
        minus.setdefault(one["against"], {})[one["arm"]] = one["differences"]
    contrasts = [one["differences"] for one in results["contrasts"]]
    return results | {
        "minus": minus,
        "detectable": {
            name: 100 * statistics.median(_detectable(gaps[name]) for gaps in contrasts)
            for name in DIFFERENCES
            if contrasts
        },
        "tables": {name: markdown(*rows) for name, rows in tables.items()},
        "start": first.read_evaluations()[0]["greedy"],
        "collapsed": int(sum(run["collapsed"] for run in results["runs"])),
    }


def _detectable_rows(results: Mapping[str, Any]) -> Rows:
    """The smallest true difference to the baseline that each arm's spread lets the study find, in points."""
    rows = [
        [name, *(numeral(100 * _detectable(arm["differences"][one]), 2) for one in DIFFERENCES)]
        for name, arm in results["arms"].items()
        if "differences" in arm
    ]
    return ["detectable, points", *DIFFERENCES], rows


def _update(path: Path, test: Mapping[str, Any]) -> dict[str, Any]:
    """The study of updates of equal size: what the gradient test foretold of an arm, and what it learned."""
    results = _study(path)
    gaps = {name: arm["differences"] for name, arm in results["arms"].items() if "differences" in arm}
    gaps |= {one["arm"]: one["differences"] for one in results["contrasts"]}
    measures = ("greedy area", "greedy final", "sampled area", "sampled final")
    rows = []
    for name in results["arms"]:
        weighting, _, adam = name.partition("-")
        foretold = test["weightings"].get({"read": READ, "template": TEMPLATE}.get(weighting, weighting))
        key = "progress under Adam" if adam else "progress"
        if name in gaps and weighting != "even":
            told = estimate(foretold[key]) if foretold else ""
            entropy = measured(results["arms"][name]["measures"].get("entropy"), NUMBER)
            rows.append([name, told, *(difference(gaps[name].get(one)) for one in measures), entropy])
    headings = [
        "minus even weights, same optimizer",
        "gain in the gradient test",
        *measures,
        "entropy at the end",
    ]
    results["tables"]["update"] = markdown(headings, rows)
    results["gaps"] = gaps
    compared = [row[0] for row in rows]
    corrected = dict(zip(compared, holm([gaps[name]["greedy area"]["p"] for name in compared]), strict=True))
    clean = [p for name in ("read", "saturated", "floored") if (p := corrected[name]) is not None]
    results["afterwards"] = {
        "rows": len(compared), "least": min(clean), "template": corrected.get("template"),
    }  # fmt: skip
    return results


def _rates(path: Path) -> dict[str, Any]:
    """The study of a folder with a table: each method under every learning rate it was tried with."""
    folder = StudyFolder(path)
    results = study_results(folder, folder.plan())
    found: dict[str, dict[float, Mapping[str, Any]]] = {}
    for name, arm in results["arms"].items():
        found.setdefault(name.split("-")[0], {})[arm["settings"]["learning_rate"]] = arm["measures"]
    rates = sorted({rate for arm in found.values() for rate in arm})
    best = {
        name: max(arm, key=lambda rate: _area(arm[rate])) for name, arm in found.items() if any(arm.values())
    }
    rows = [
        [name, *(_mean(arm.get(rate)) for rate in rates), _rate(best[name]) if name in best else "–"]
        for name, arm in found.items()
    ]
    table = markdown(["", *map(_rate, rates), "best"], rows)
    return results | {"table": table}


def _rate(rate: float) -> str:
    return f"{rate:.0e}".replace("e-0", "e−")


def _area(measures: Mapping[str, Any]) -> float:
    return measures["sampled area"]["value"] if measures else float("-inf")


def _mean(measures: Mapping[str, Any] | None) -> str:
    if not measures:
        return "–"
    return f"{100 * _area(measures):.1f} ({100 * measures['greedy final']['value']:.1f})"


if __name__ == "__main__":
    from pictures import draw

    draw(measurements(), DOCS / "pictures")
    for file, text in render().items():
        (DOCS / file).parent.mkdir(exist_ok=True)
        (DOCS / file).write_text(text, encoding="utf-8")
