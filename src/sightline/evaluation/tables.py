"""A run's figures as rows: CSV for programs, Markdown for a paper or a README."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..runs import write_text

COLUMNS = (
    "model",
    "protocol",
    "benchmark",
    "view",
    "measure",
    "label",
    "value",
    "low",
    "high",
    "n",
    "problems",
)


def write_csv(path: Path, results: Mapping[str, Any]) -> None:
    """Every estimate of `results.json`, one row each; what is not defined is empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in _rows(results):
        writer.writerow({name: _cell(row.get(name)) for name in COLUMNS})
    write_text(path, buffer.getvalue())


def _cell(value: Any) -> Any:
    """A cell; text that a spreadsheet would take for a formula is marked as text."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value


def _rows(results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    common = {"model": results["model"], "protocol": results["protocol"]}
    for benchmark, found in results["benchmarks"].items():
        for view, measured in found["views"].items():
            for row in _view_rows(measured):
                yield {**common, "benchmark": benchmark, "view": view, **row}
        for view, lost in found["blind"].items():
            for name in ("difference", "where_blind_fails"):
                yield {**common, "benchmark": benchmark, "view": view, **_estimate(name, lost[name])}
        for protocol, other in found["protocols"].items():
            row = _estimate("accuracy", other["accuracy"])
            if protocol != results["protocol"]:
                yield {**common, "benchmark": benchmark, "view": "sighted", **row, "protocol": protocol}


def _view_rows(measured: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield _estimate("accuracy", measured["accuracy"])
    for name, by_k in (("pass@", measured["pass_at"]), ("maj@", measured["majority_at"])):
        for k, estimate in by_k.items():
            yield _estimate(f"{name}{k}", estimate)
    for name, share in measured["rates"].items():
        yield {"measure": f"{name} rate", "value": share, "n": measured["samples"]}
    for label, values in measured["breakdowns"].items():
        for value, estimate in values.items():
            yield {**_estimate("accuracy", estimate), "label": f"{label}: {value}"}
    for name, value in measured["scores"].items():
        yield _estimate(name, value) if isinstance(value, Mapping) else {"measure": name, "value": value}


def _estimate(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: found.get(key) for key in ("value", "low", "high", "n")}
    return {"measure": name, **kept, "problems": found.get("clusters")}


def markdown_table(results: Mapping[str, Any]) -> str:
    """One row per benchmark: accuracy (or avg@k) with its interval, pass@k, maj@k, the blind views, rates."""
    benchmarks: Mapping[str, Any] = results["benchmarks"]
    blind = list(dict.fromkeys(view for found in benchmarks.values() for view in found["blind"]))
    most = max((found["views"]["sighted"]["samples_per_problem"] for found in benchmarks.values()), default=1)
    head = ["benchmark", "problems", f"avg@{most}" if most > 1 else "accuracy"]
    head += [f"pass@{most}", f"maj@{most}"] if most > 1 else []
    head += [f"{view} (difference)" for view in blind] + ["no box", "truncated", "failed"]
    lines = [_line(head), "|---|" + "---:|" * (len(head) - 1)]
    lines += [_line(_row(name, found, blind, most)) for name, found in benchmarks.items()]
    return "\n".join([*lines, "", _caption(results), ""])


def _row(name: str, found: Mapping[str, Any], blind: Sequence[str], most: int) -> list[str]:
    seen = found["views"]["sighted"]
    row = [name, str(seen["accuracy"]["clusters"]), interval(seen["accuracy"])]
    if most > 1:
        row += [percent(by.get(str(most), {}).get("value")) for by in (seen["pass_at"], seen["majority_at"])]
    for view in blind:
        lost = found["blind"].get(view)
        value = found["views"][view]["accuracy"]["value"] if lost else None
        gap = points(lost["difference"]) if lost else ""
        row.append(f"{percent(value)} ({gap})" if lost else "")
    return [*row, *(percent(seen["rates"][name]) for name in ("no_box", "truncated", "failed"))]


def _caption(results: Mapping[str, Any]) -> str:
    decoding = results["decoding"]
    how = "greedy" if decoding["temperature"] == 0 else f"temperature {decoding['temperature']:g}"
    count = decoding["samples"]
    return (
        f"{results['model']}, {how}, {count} sample{'s' if count != 1 else ''} per problem, "
        f"protocol {results['protocol']}; "
        "per cent with 95 % intervals clustered by problem."
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def percent(share: float | None) -> str:
    """A share in per cent with one decimal; empty if it is not defined."""
    return "" if share is None or not math.isfinite(share) else f"{100 * share:.1f}"


def interval(found: Mapping[str, Any]) -> str:
    """`36.3 [32.2, 40.6]`."""
    return f"{percent(found['value'])} [{percent(found['low'])}, {percent(found['high'])}]"


def points(found: Mapping[str, Any]) -> str:
    """`+23.8 [19.1, 28.5]`: a difference in points, with its interval if it has one."""
    value, low, high = (found[name] for name in ("value", "low", "high"))
    if value is None or not math.isfinite(value):
        return ""
    defined = all(end is not None and math.isfinite(end) for end in (low, high))
    return f"{100 * value:+.1f}" + (f" [{100 * low:+.1f}, {100 * high:+.1f}]" if defined else "")


def comparison_table(found: Mapping[str, Any]) -> str:
    """A comparison for a paper or a README: one row per benchmark."""
    head = ["benchmark", "problems", "A", "B", "B − A", "p"]
    lines = [_line(head), "|---|" + "---:|" * (len(head) - 1)]
    for name, entry in found["benchmarks"].items():
        p = entry["difference"]["p"]
        cells = [interval(entry["a"]), interval(entry["b"]), points(entry["difference"])]
        lines.append(_line([name, str(entry["problems"]), *cells, "" if p != p else f"{p:.3f}"]))
    models = [run["model"] for run in found["runs"]]
    caption = (
        f"A: {models[0]}. B: {models[1]}. Protocol {found['protocol']}; per cent, differences in points, "
        "95 % intervals clustered by problem."
    )
    return "\n".join([*lines, "", caption, ""])
