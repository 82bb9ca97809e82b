"""A run's figures as rows: CSV for programs, Markdown for a paper or a README."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...run_folder import write_text
from .warnings import MOST_MISSING

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


_RATES = {"no_box": "no box", "truncated": "truncated", "timeout": "time-out", "failed": "failed"}
_DISAGREEMENTS = ("differ", "accepts_more", "rejects_more")
_UNDEFINED: Mapping[str, Any] = {"value": None, "low": None, "high": None}


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
        for row in _token_rows(found["tokens"] or {}):
            yield {**common, "benchmark": benchmark, "view": "sighted", **row}
        for protocol, other in found["protocols"].items():
            row = _estimate("accuracy", other["accuracy"])
            if protocol != results["protocol"]:
                yield {**common, "benchmark": benchmark, "view": "sighted", **row, "protocol": protocol}


def _view_rows(measured: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    accuracy = measured["accuracy"]
    yield _estimate("accuracy", accuracy)
    found = {"value": measured["detectable_difference"], "n": accuracy["n"], "clusters": accuracy["clusters"]}
    yield _estimate("detectable difference", found)
    for name, share in (measured["noise"] or {}).items():
        if name in ("questions", "sampling", "another_sample"):
            yield {"measure": f"standard error, {name.replace('_', ' ')}", "value": share, "n": accuracy["n"]}
    yield {"measure": "missing samples", "value": measured["missing"]["share"], "n": measured["samples"]}
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


def _token_rows(tokens: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, measure in (("kl_mean", "KL per token"), ("half_of_kl", "tokens with half of the KL")):
        if name in tokens:
            yield {"measure": measure, "value": tokens[name], "n": tokens["tokens"]}
    for group in ("all", "right", "wrong") if tokens else ():
        low, high = tokens[group]["interval"] or (None, None)
        yield {
            "measure": "late/early focus", "label": f"answers: {group}", "n": tokens[group]["answers"],
            "value": tokens[group]["late_over_early"], "low": low, "high": high,
        }  # fmt: skip


def _estimate(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: found.get(key) for key in ("value", "low", "high", "n")}
    return {"measure": name, **kept, "problems": found.get("clusters")}


def markdown_table(results: Mapping[str, Any]) -> str:
    """Tables for a paper or a README: accuracy (or avg@k, pass@k, maj@k) with intervals and rates; below it,
    where there are any, the benchmarks' own scores, the blind views, and how other protocols judge."""
    found: Mapping[str, Any] = results["benchmarks"]
    refused = results["withheld"]
    shown = {name: one for name, one in found.items() if name not in refused}
    parts = [_main(results), _caption(results), _own_scores(shown), _blind(shown), _protocols(results)]
    parts += [_noise(shown), "\n".join(f"- {warning}" for warning in results["warnings"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A table whose first columns hold words and the others figures; empty without rows."""
    if not rows:
        return ""
    rule = "|" + "---|" * words + "---:|" * (len(head) - words)
    return "\n".join([_line(head), rule, *map(_line, rows)])


def _main(results: Mapping[str, Any]) -> str:
    benchmarks, refused = results["benchmarks"], results["withheld"]
    seen = {name: found["views"]["sighted"] for name, found in benchmarks.items()}
    most = max((one["samples_per_problem"] for one in seen.values()), default=1)
    several = ("pass_at", "majority_at") if most > 1 else ()
    head = ["benchmark", "problems", f"avg@{most}" if most > 1 else "accuracy"]
    head += [f"pass@{most}", f"maj@{most}"] if several else []
    rows = [
        [
            name,
            str(benchmarks[name]["set"]["used"]),
            headline(one["accuracy"], refused.get(name)),
            *(interval({} if name in refused else at_k(one, by, most)) for by in several),
            str(one["accuracy"]["clusters"]),
            *(percent(one["rates"][rate]) for rate in _RATES),
        ]
        for name, one in seen.items()
    ]
    head += ["clusters", *_RATES.values()]
    if (average := results["mean_accuracy"]) is not None:
        rows.append(["mean of the benchmarks", "", percent(average), *[""] * (len(head) - 3)])
    return _table(head, rows)


def headline(accuracy: Mapping[str, Any], refused: str | None) -> str:
    """Accuracy with its interval, or why it is withheld."""
    return interval(accuracy) if refused is None else f"withheld: {refused}"


def at_k(measured: Mapping[str, Any], by: str, k: int) -> Mapping[str, Any]:
    """pass@k or maj@k; not defined where more than 2 % of the problems lack k samples."""
    found = measured[by].get(str(k), _UNDEFINED)
    left_out = found.get("left_out", 0)
    return found if left_out <= MOST_MISSING * (left_out + found.get("n", 0)) else _UNDEFINED


def mean_accuracy(benchmarks: Mapping[str, Any]) -> float | None:
    """The mean of the benchmarks' accuracies, each counting once, as papers print it: no interval, since
    benchmarks may share problems. None for a single one, or if one has no graded sample."""
    values = [found["views"]["sighted"]["accuracy"]["value"] for found in benchmarks.values()]
    defined = len(values) > 1 and all(value is not None and math.isfinite(value) for value in values)
    return sum(values) / len(values) if defined else None


def _own_scores(benchmarks: Mapping[str, Any]) -> str:
    rows = [
        [name, score, interval(value) if isinstance(value, Mapping) else percent(value)]
        for name, found in benchmarks.items()
        for score, value in found["views"]["sighted"]["scores"].items()
        if not isinstance(value, int)
    ]
    return _table(["benchmark", "its own score", "value"], rows, words=2)


def _noise(benchmarks: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            *(points_of(noise[key]) for key in ("standard_error", "questions", "sampling", "another_sample")),
        ]
        for name, found in benchmarks.items()
        if (noise := found["views"]["sighted"]["noise"])
    ]
    head = ["benchmark", "standard error", "from problems", "from sampling", "with another sample"]
    return _table(head, rows)


def _blind(benchmarks: Mapping[str, Any]) -> str:
    rows = []
    for name, found in benchmarks.items():
        for view, lost in found["blind"].items():
            blind, gap = found["views"][view]["accuracy"], lost["difference"]
            fails = lost["where_blind_fails"]
            rows.append([name, view, interval(blind), points(gap), probability(gap["p"]), interval(fails)])
    head = ["benchmark", "image", "blind accuracy", "the image gains", "p", "where the blind fail"]
    return _table(head, rows, words=2)


def _protocols(results: Mapping[str, Any]) -> str:
    rows = [
        [name, protocol, interval(other["accuracy"]), *(str(other[key]) for key in _DISAGREEMENTS)]
        for name, found in results["benchmarks"].items()
        for protocol, other in found["protocols"].items()
        if other["differ"]
    ]
    head = ["benchmark", "protocol", "accuracy", "verdicts that differ", "accepted more", "rejected more"]
    return _table(head, rows, words=2)


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
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def percent(share: float | None) -> str:
    """A share in per cent with one decimal; empty if it is not defined."""
    return "" if share is None or not math.isfinite(share) else f"{100 * share:.1f}"


def interval(found: Mapping[str, Any]) -> str:
    """`36.3 [32.2, 40.6]`; empty if there is no value, without its ends if they are not defined."""
    value, low, high = (percent(found.get(name)) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]" if value and low and high else value


def points_of(share: float | None) -> str:
    """A standard error in points with two decimals; empty if it is not defined."""
    return "" if share is None or not math.isfinite(share) else f"{100 * share:.2f}"


def probability(p: float | None) -> str:
    """`0.034`, `< 0.001`; empty if it is not defined."""
    if p is None or not math.isfinite(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def points(found: Mapping[str, Any]) -> str:
    """`+23.8 [19.1, 28.5]`: a difference in points, with its interval if it has one."""
    value, low, high = (found[name] for name in ("value", "low", "high"))
    if value is None or not math.isfinite(value):
        return ""
    defined = all(end is not None and math.isfinite(end) for end in (low, high))
    return f"{100 * value:+.1f}" + (f" [{100 * low:+.1f}, {100 * high:+.1f}]" if defined else "")


def comparison_table(found: Mapping[str, Any]) -> str:
    """A comparison for a paper or a README: what the runs differ in, then one row per benchmark."""
    count = found["corrections"]["benchmarks"]
    head = ["benchmark", "problems", "clusters", "A", "B", "B − A", "p", "p, corrected"]
    rows = [
        [name, str(one["problems"]), str(one["difference"]["clusters"]), interval(one["a"]),
         interval(one["b"]), points(one["difference"]), probability(one["difference"]["p"]),
         probability(one["difference"]["p_corrected"])]
        for name, one in found["benchmarks"].items()
    ]  # fmt: skip
    if average := found["average"]:
        means = [percent(average[side]) for side in ("a", "b")]
        rows.append(["mean", "", "", *means, points(average), probability(average["p"]), ""])
    models = [run["model"] for run in found["runs"]]
    caption = (
        f"A: {models[0]}. B: {models[1]}. Protocol {found['protocol']}; per cent, differences in points, "
        f"95 % intervals clustered by problem; p exact, corrected by Holm for {count} "
        f"benchmark{'s' if count != 1 else ''}."
    )
    notes, remarks = (
        "\n".join(f"- {' '.join(one.split())}" for one in found[kind]) for kind in ("notes", "remarks")
    )
    parts = [notes, _table(head, rows), caption, _across(found["across"]), remarks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _across(across: Mapping[str, Any] | None) -> str:
    if across is None:
        return ""
    middle = across["interquartile_mean"]
    rows = [
        [
            "interquartile mean",
            *(interval(middle[side]) for side in ("a", "b")),
            points(middle["difference"]),
        ],
        ["chance that B beats A", "", interval(across["probability_of_improvement"]), ""],
    ]
    return _table([f"{across['runs'][0]} and {across['runs'][1]} runs", "A", "B", "B − A"], rows)
