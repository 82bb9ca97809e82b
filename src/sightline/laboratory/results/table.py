"""A study's results as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...analysis.charts.number_format import numeral, percent, points

Rows = tuple[list[str], list[list[str]]]
"""Headings, and rows of as many cells."""

SHARE, NUMBER = "share", "number"

COLUMNS = (
    ("sampled final", "sampled, end, %", SHARE),
    ("sampled area", "sampled, mean over training, %", SHARE),
    ("greedy final", "greedy, end, %", SHARE),
    ("blind", "blind, end, %", SHARE),
    ("dependency", "visual dependence, nats a token", NUMBER),
    ("tokens", "tokens an answer", NUMBER),
    ("seconds per step", "CPU seconds a step", NUMBER),
)
"""Measure, its heading, and how it is shown."""

OF_PAIRS = (
    ("pairs_right", "both sides of a pair, end, %", SHARE),
    ("relevant_pairs_right", "both of a relevant pair, end, %", SHARE),
    ("sensitivity", "answer changes when it must, end, %", SHARE),
    ("stability", "answer stays when it must, end, %", SHARE),
)
"""Beside blind accuracy, in studies that measure minimal pairs."""

DIFFERENCES = ("sampled area", "sampled final", "greedy final")
"""What is shown of the differences to the baseline."""

CLAIMS = (
    ("collapsed", "collapsed, %", SHARE),
    ("entropy", "entropy at the end, nats", NUMBER),
    ("steps to target", "steps to the target", NUMBER),
    ("late_over_early", "late / early focus", NUMBER),
    ("half_of_kl", "tokens with half of the KL, %", SHARE),
)


def measured(found: Mapping[str, Any] | None, kind: str) -> str:
    """A mean with its interval's half width: `45.2 ± 1.1`."""
    if found is None:
        return "–"
    value, low, high = (found[name] for name in ("value", "low", "high"))
    known = low is not None and not math.isnan(low)
    if kind == SHARE:
        return percent(value, unit="") + (f" ± {50 * (high - low):.1f}" if known else "")
    return numeral(value, 3) + (f" ± {numeral((high - low) / 2, 2)}" if known else "")


def difference(found: Mapping[str, Any] | None) -> str:
    """A paired difference of shares in points with its interval."""
    if found is None:
        return "–"
    if found["low"] is None:
        return points(found["value"])
    return f"{points(found['value'])} [{points(found['low'])}, {points(found['high'])}]"


def probability(p: float | None) -> str:
    """A p value."""
    if p is None or math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def main_rows(results: Mapping[str, Any]) -> Rows:
    """Headings and rows of the main table."""
    known = {key for found in results["arms"].values() for key in found["measures"]}
    columns = [*COLUMNS[:4], *(column for column in OF_PAIRS if column[0] in known), *COLUMNS[4:]]
    headings = ["", "seeds", *(heading for _, heading, _ in columns)]
    rows = [
        [name, _seeds(found), *(measured(found["measures"].get(key), kind) for key, _, kind in columns)]
        for name, found in results["arms"].items()
    ]
    return headings, rows


def difference_rows(results: Mapping[str, Any], key: str, names: Sequence[str]) -> Rows:
    """Headings and rows of the differences to the baseline in points, with Holm-corrected p."""
    headings = [f"minus {results['baseline']}", *(part for name in names for part in (name, "p (Holm)"))]
    rows = []
    for arm, found in results["arms"].items():
        gaps = found.get(key)
        if arm == results["baseline"] or not gaps:
            continue
        rows.append([arm, *_gap_cells(gaps, names)])
    return headings, rows


def contrast_rows(results: Mapping[str, Any], names: Sequence[str]) -> Rows:
    """Headings and rows of the differences between named arms, as `difference_rows`."""
    headings = ["", *(part for name in names for part in (name, "p (Holm)"))]
    rows = [
        [f"{one['arm']} minus {one['against']}", *_gap_cells(one["differences"], names)]
        for one in results["contrasts"]
    ]
    return headings, rows


def _gap_cells(gaps: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Of each measure the difference and its corrected p."""
    found = [gaps.get(name) for name in names]
    return [cell for gap in found for cell in (difference(gap), probability(gap["p_holm"] if gap else None))]


def unpaired_rows(results: Mapping[str, Any], name: str) -> Rows:
    """Headings and rows of what unpaired runs say of one measure, against the baseline."""
    headings = [f"{name}, runs not paired", "interquartile mean, %", f"minus {results['baseline']} (Welch)",
                "p (Welch)", "chance of a better run"]  # fmt: skip
    rows = []
    for arm, found in results["arms"].items():
        middle, pair = found.get("interquartile", {}).get(name), found.get("unpaired", {}).get(name)
        gap = pair["welch"] if pair else None
        chance = pair["improvement"] if pair else None
        within = (
            f"{percent(chance['value'])} [{percent(chance['low'])}, {percent(chance['high'])}]"
            if chance
            else "–"
        )
        rows.append(
            [arm, measured(middle, SHARE), difference(gap), probability(gap["p"] if gap else None), within]
        )
    return headings, rows


def source_rows(results: Mapping[str, Any]) -> Rows:
    """Headings and rows of what a difference at the end varies by: the runs, the problems, or both."""
    headings = [f"minus {results['baseline']}", "measure", "difference, other runs on other problems",
                "± from the runs", "± from the problems"]  # fmt: skip
    rows = [
        [arm, name, difference(one), *(numeral(100 * one[key], 2) for key in ("training", "problems"))]
        for arm, found in results["arms"].items()
        for name, one in found.get("two_sources", {}).items()
    ]
    return headings, rows


def claim_rows(results: Mapping[str, Any]) -> Rows:
    """Headings and rows of what the papers say about training."""
    shown = [column for column in CLAIMS if column[0] != "steps to target" or results["target"] is not None]
    headings = ["", *(heading for _, heading, _ in shown)]
    rows = []
    for name, found in results["arms"].items():
        cells = []
        for key, _, kind in shown:
            value = found["measures"].get(key)
            text = percent(value["value"], unit="") if value and key == "collapsed" else measured(value, kind)
            if key == "steps to target" and value and value["seeds"] < len(found["seeds"]):
                text += f" ({value['seeds']} of {len(found['seeds'])} reached it)"
            cells.append(text)
        rows.append([name, *cells])
    return headings, rows


def _seeds(found: Mapping[str, Any]) -> str:
    failed = len(found["failed"])
    return f"{len(found['seeds'])}" + (f" ({failed} failed)" if failed else "")


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; `|` in a cell is escaped."""
    lines = [headings, ["---"] + ["---:"] * (len(headings) - 1), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def tables(results: Mapping[str, Any]) -> str:
    """All tables of a study as one Markdown text."""
    parts = []
    if results["question"]:
        parts.append(results["question"] + "\n")
    parts.append("Means over seeds ± half of the 95 % interval; accuracies in per cent.\n")
    parts.append(markdown(*main_rows(results)))
    for title, key, names in (
        ("Paired differences at equal steps", "differences", DIFFERENCES),
        ("At equal CPU time", "equal_time_differences", ("sampled", "greedy")),
    ):
        headings, rows = difference_rows(results, key, names)
        if rows:
            parts += [f"{title}, in points with 95 % intervals:\n", markdown(headings, rows)]
    if results["contrasts"]:
        parts += [
            "Between other arms at equal steps, in points with 95 % intervals:\n",
            markdown(*contrast_rows(results, DIFFERENCES)),
        ]
    if any(found.get("unpaired") for found in results["arms"].values()):
        parts += [
            "The same without pairing the seeds, in points with 95 % intervals (bootstrap, of Welch's t):\n",
            markdown(*unpaired_rows(results, DIFFERENCES[0])),
        ]
    if source_rows(results)[1]:
        parts += [
            "Where the noise of a difference comes from, standard errors in points:\n",
            markdown(*source_rows(results)),
        ]
    parts += ["What the papers say about training:\n", markdown(*claim_rows(results))]
    parts += [f"- {note}\n" for note in results["notes"]]
    return "\n".join(parts)


def runs_csv(results: Mapping[str, Any]) -> str:
    """One row per finished run, every number of it."""
    names = list(dict.fromkeys(name for row in results["runs"] for name in row))
    held = io.StringIO()
    writer = csv.DictWriter(held, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows([{k: "" if v is None else v for k, v in row.items()} for row in results["runs"]])
    return held.getvalue()
