"""Writes a study's results: results.json, tables, curves, and one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...analysis.charts.axes import axis
from ...analysis.charts.geometry import HEAD, ROW, WIDTH, IntervalChart, Whisker
from ...analysis.charts.number_format import numeral, points
from ...analysis.charts.overlays import letter
from ...analysis.pages.base import page
from ...run_folder import finite, write_json, write_text
from ..study.folder import StudyFolder
from ..study.plan import Plan
from .curves import charts, study_curves, write_curves
from .records import records
from .summary import study_results
from .table import (
    DIFFERENCES,
    claim_rows,
    contrast_rows,
    difference_rows,
    main_rows,
    probability,
    runs_csv,
    tables,
)


def write_study(folder: StudyFolder, plan: Plan) -> dict[str, Any]:
    """Write everything a study shows into its folder, from the runs that are finished; its results."""
    found = records(folder, plan)
    results: dict[str, Any] = finite(study_results(folder, plan))
    write_json(folder.results, results)
    write_text(folder.path / "table.md", tables(results))
    write_text(folder.path / "runs.csv", runs_csv(results))
    drawn, order = study_curves(found), [arm.name for arm in plan.arms]
    if drawn:
        write_curves(drawn, order, folder.path)
    write_text(
        folder.page, page("study.html", style="comparison.css", **_content(results, charts(drawn, order)))
    )
    return results


def _content(results: Mapping[str, Any], curves: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """All values that the template of the page shows."""
    arms = results["arms"]
    return {
        "results": results,
        "arms": [
            {"letter": letter(place), "place": place, "name": name, "settings": _brief(found["settings"]),
             "count": len(found["seeds"])}
            for place, (name, found) in enumerate(arms.items())
        ],
        "main": main_rows(results),
        "at_steps": difference_rows(results, "differences", DIFFERENCES),
        "at_time": difference_rows(results, "equal_time_differences", ("sampled", "greedy")),
        "contrasts": contrast_rows(results, DIFFERENCES),
        "claims": claim_rows(results),
        "chart": difference_chart(results, DIFFERENCES[0]),
        "primary": _primary(results["primary"]),
        "power": _power(results["power"]),
        "null": results["null"],
        "curves": curves,
    }  # fmt: skip


def _brief(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in settings.items())


def _primary(primary: Mapping[str, Any] | None) -> dict[str, str] | None:
    if primary is None or primary["difference"] is None:
        return None
    gap = primary["difference"]
    known = gap["low"] is not None
    return {
        "what": f"{primary['arm']} minus {primary['against']}, {primary['measure']} accuracy",
        "value": f"{points(gap['value'])} points",
        "interval": f"95 % interval {points(gap['low'])} to {points(gap['high'])}"
        if known
        else "no interval",
        "p": probability(gap["p"]),
        "seeds": str(gap["seeds"]),
    }


def _power(power: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The power table in points."""
    if power is None:
        return None
    return {
        "spread": numeral(100 * power["spread"], 3),
        "measure": power["measure"],
        "detectable": [
            (n, numeral(100 * value, 3)) for n, value in power["detectable"].items() if value is not None
        ],
        "needed": [(numeral(100 * float(d), 3), n or "over 1000") for d, n in power["seeds_needed"].items()],
    }


def difference_chart(results: Mapping[str, Any], name: str) -> IntervalChart | None:
    """Each arm's difference to the baseline with its interval, around a shared zero."""
    gaps = {
        arm: found["differences"][name]
        for arm, found in results["arms"].items()
        if name in found.get("differences", {})
    }
    if not gaps:
        return None
    ends = [
        abs(value)
        for gap in gaps.values()
        for key in ("low", "high", "value")
        if (value := gap[key]) is not None
    ]
    most = 1.05 * max([*ends, 0.005])
    x = axis(-most, most, 142, WIDTH - 16, ticks=3, share=True)
    rows, said = [], []
    for place, (arm, gap) in enumerate(gaps.items()):
        middle = HEAD + ROW * (place + 0.5)
        low, high = (gap["value"] if gap[end] is None else gap[end] for end in ("low", "high"))
        label = f"{arm}: {points(gap['value'])} points, 95 % interval {points(low)} to {points(high)}"
        at, left, right = (x.place(value) for value in (gap["value"], low, high))
        whisker = Whisker("after", middle, at, left, right, label)
        rows.append((arm if len(arm) <= 24 else arm[:23] + "…", middle, (whisker,)))
        said.append(label)
    title = f"Difference to {results['baseline']}, {name}"
    return IntervalChart(title, "; ".join(said) + ".", HEAD + ROW * len(rows) + 24, x, tuple(rows))
