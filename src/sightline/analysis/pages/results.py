"""The page of an evaluation: figures, breakdowns, protocols against each other, samples to look at.

It reads a results folder, or what `sightline compare` wrote, from its files alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...run_folder import RunFolder, write_text
from ..charts.axes import axis
from ..charts.geometry import HEAD, ROW, WIDTH, IntervalChart, Whisker
from ..charts.number_format import counted, number, percent, points
from ..readers.results_samples import Samples, read_samples
from ..readers.results_structure import COMPARISON, RESULTS, read_checked
from ..readers.samples import mapping
from .base import page

MOST_LONG = 22
"""Characters of a name that are shown beside an interval."""
CHARACTER = 7.0
"""Width of one, at most."""
APART = 8


def write_results_page(folder: Path) -> Path:
    """Write `report.html` into a results folder and return its path.

    The page holds accuracy with intervals, the benchmarks' own scores, breakdowns, what the other
    protocols say of the same answers, the blind views, token statistics, and a choice of samples with
    filters. It is one file, without scripts, written whole or not at all.

    Raises:
        UserError: the folder has no results, or cannot be written to.
    """
    path = Path(folder)
    again = f"sightline score {path}"
    results = read_checked(RunFolder(path).results, RESULTS, "sightline eval", again)
    samples = read_samples(path, results)
    return _write(
        path,
        name=path.resolve().name,
        results=results,
        comparison=None,
        facts=_facts(results),
        notes=_notes(results, samples),
        rows=_rows(results),
        chart=_accuracy_chart(results),
        blind_views=_blind_views(results),
        sources=_sources(results),
        profiles=[],
        withheld=mapping(results.get("withheld")),
        repeated=any(found["views"]["sighted"]["pass_at"] for found in results["benchmarks"].values()),
        samples=samples,
    )


def write_comparison_page(folder: Path) -> Path:
    """Write `report.html` beside the `comparison.json` of a folder and return its path.

    Raises:
        UserError: the folder has no comparison, or cannot be written to.
    """
    path = Path(folder)
    comparison = read_checked(path / "comparison.json", COMPARISON, "sightline compare", "sightline compare")
    samples = read_samples(path, comparison)
    return _write(
        path,
        name=path.resolve().name,
        results=None,
        comparison=comparison,
        facts=[],
        notes=[*comparison["notes"], *samples.notes],
        rows=[],
        chart=_difference_chart(comparison),
        blind_views=[],
        sources=[],
        profiles=_profiles(comparison),
        withheld={},
        repeated=False,
        samples=samples,
    )


def _write(path: Path, **content: Any) -> Path:
    target = RunFolder(path).report
    try:
        write_text(target, page("results.html", style="results.css", **content))
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror}; change the folder's permissions"
        ) from error
    return target


def _facts(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Short facts for the head of the page."""
    decoding, prompt = mapping(results.get("decoding")), mapping(results.get("prompt"))
    temperature = number(decoding.get("temperature")) or 0.0
    how = "greedy" if temperature == 0 else f"temperature {temperature:g}, top-p {decoding.get('top_p')}"
    bounds = [prompt.get(name) for name in ("min_pixels", "max_pixels")]
    pixels = (
        " to ".join("any" if bound is None else f"{bound:,}" for bound in bounds) if any(bounds) else None
    )
    versions = mapping(results.get("versions")).items()
    facts = [
        ("Decoding", f"{how}, {counted(int(decoding.get('samples') or 1), 'sample')} a problem"),
        ("Backend", results.get("backend")),
        ("Precision", str(results.get("dtype") or "").removeprefix("torch.")),
        ("Device", results.get("device")),
        ("Seed", results.get("seed")),
        ("Template", prompt.get("template")),
        ("Pixels", pixels),
        ("Checkpoint", results.get("checkpoint")),
        ("Weights", results.get("weights")),
        ("Begun", results.get("started")),
        ("Sightline", str(results.get("git_revision") or "")[:10]),
        ("Libraries", ", ".join(f"{name} {version}" for name, version in versions)),
    ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def _notes(results: Mapping[str, Any], samples: Samples) -> list[str]:
    """What a reader has to know before believing a figure."""
    notes = []
    for name, found in results["benchmarks"].items():
        about = found["set"]
        notes += [f"{name}: {difference}; evaluated as it is." for difference in about["differences"]]
        if about["note"]:
            notes.append(f"{name}: {about['note']}")
        if left_out := about["golds_left_out"]:
            listing = ", ".join(f"{entry['id']} ({entry['why']})" for entry in left_out[:5])
            notes.append(f"{name}: {counted(len(left_out), 'gold')} left out, not to be graded: {listing}.")
        failed = sum(measured["counts"]["failed"] for measured in found["views"].values())
        if failed:
            notes.append(f"{name}: {counted(failed, 'sample')} failed, neither right nor wrong.")
        undecided = sum(measured["counts"].get("undecided") or 0 for measured in found["views"].values())
        if undecided:
            judged = f"{counted(undecided, 'answer')} could not be judged"
            notes.append(f"{name}: {judged}, neither right nor wrong.")
    return [*results.get("warnings", []), *notes, *samples.notes]


def _blind_views(results: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(view for found in results["benchmarks"].values() for view in found["blind"]))


def _rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the main table: one per benchmark."""
    return [
        {
            "name": name,
            "used": found["set"]["used"],
            "seen": found["views"]["sighted"],
            "blind": {
                view: (found["views"][view]["accuracy"], lost) for view, lost in found["blind"].items()
            },
        }
        for name, found in results["benchmarks"].items()
        if "sighted" in found["views"]
    ]


def _profiles(comparison: Mapping[str, Any]) -> list[tuple[float, float, float]]:
    """Threshold, share of A's scores above it, and of B's."""
    if not comparison["across"]:
        return []
    found = comparison["across"]["profiles"]
    return list(zip(found["thresholds"], found["a"]["value"], found["b"]["value"], strict=False))


def _sources(results: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Benchmarks whose noise could be told apart by its source."""
    seen = {name: found["views"]["sighted"] for name, found in results["benchmarks"].items()}
    return [(name, one["noise"]) for name, one in seen.items() if one.get("noise")]


def _accuracy_chart(results: Mapping[str, Any]) -> IntervalChart | None:
    """Sighted accuracy (solid) over that of the first blind view (hollow)."""
    rows: list[tuple[str, list[tuple[str, str, Mapping[str, Any]]]]] = []
    for name, found in results["benchmarks"].items():
        drawn = [("after", "with the image", found["views"]["sighted"]["accuracy"])]
        drawn += [("before", f"blind ({view})", found["views"][view]["accuracy"]) for view in found["blind"]][
            :1
        ]
        rows.append((name, drawn))
    return _chart("Accuracy with 95 % intervals", rows, 0.0, 1.0, shares=True)


def _difference_chart(comparison: Mapping[str, Any]) -> IntervalChart | None:
    rows = [
        (name, [("after", "difference", found["difference"])])
        for name, found in comparison["benchmarks"].items()
    ]
    ends = [
        abs(value)
        for _, drawn in rows
        for _, _, found in drawn
        for value in (number(found["low"]), number(found["high"]), number(found["value"]))
        if value is not None
    ]
    most = max([*ends, 0.01]) * 1.05
    return _chart("Difference with 95 % intervals", rows, -most, most, shares=False)


def _chart(
    title: str,
    rows: Sequence[tuple[str, Sequence[tuple[str, str, Mapping[str, Any]]]]],
    low: float,
    high: float,
    *,
    shares: bool,
) -> IntervalChart | None:
    if not rows:
        return None
    longest = max(min(len(name), MOST_LONG) for name, _ in rows)
    x = axis(low, high, max(60.0, 14 + CHARACTER * longest), WIDTH - 16, ticks=4, share=True)
    show = percent if shares else points
    drawn, said = [], []
    for place, (name, values) in enumerate(rows):
        middle = HEAD + ROW * (place + 0.5)
        whiskers = []
        for style, what, found in values:
            value = number(found.get("value"))
            if value is None:
                continue
            ends = [number(found.get(end)) for end in ("low", "high")]
            left, right = (value if end is None else end for end in ends)
            label = f"{name}, {what}: {show(value)}, 95 % interval {show(left)} to {show(right)}"
            y = middle + (0 if len(values) == 1 else -APART if style == "before" else APART)
            at, start, end = (x.place(min(max(v, low), high)) for v in (value, left, right))
            whiskers.append(Whisker(style, y, at, start, end, label))
            said.append(label)
        short = name if len(name) <= MOST_LONG else name[: MOST_LONG - 1] + "…"
        drawn.append((short, middle, tuple(whiskers)))
    return IntervalChart(title, "; ".join(said) + ".", HEAD + ROW * len(rows) + 24, x, tuple(drawn))
