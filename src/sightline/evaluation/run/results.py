"""`results.json`: everything a run has to say, made from its folder alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ...rewards import OF_EVERY_RUN
from ...run_folder import write_json
from ..report.summary import blindness, compare_protocols, measure
from ..report.tables import markdown_table, mean_accuracy, write_csv
from ..report.warnings import warnings, withheld
from ..tokens.token_summaries import dependence
from .grading import Scored, all_scores
from .jsonl_records import SIGHTED
from .results_folder import ResultsFolder

Grouped = dict[str, dict[str, list[Scored]]]
"""Benchmark -> view -> samples."""


def write_results(
    folder: ResultsFolder,
    protocol: str,
    *,
    grade: Sequence[str] = OF_EVERY_RUN,
    partial: bool = False,
) -> dict[str, Any]:
    """Grade by the protocols in `grade`, read the other scores, and write results.json, .csv and .md.

    `protocol` is the one whose figures are the run's; the others are set against it. A benchmark of which
    more than 2 % of the samples are missing has its figures withheld from tables and page, unless `partial`.
    """
    settings = folder.settings()
    verdicts = all_scores(folder, tuple(dict.fromkeys([protocol, *grade])))
    grouped = {name: group(scored) for name, scored in verdicts.items()}
    results = {
        **settings,
        "protocol": protocol,
        "benchmarks": {
            name: _benchmark(folder, name, settings, protocol, grouped) for name in settings["sets"]
        },
        "partial": partial,
        "files": {
            "problems": folder.problems.name,
            "generations": folder.generations.name,
            "images": folder.images.name,
            "scores": {name: folder.scores(name).name for name in verdicts},
        },
    }
    results["withheld"] = withheld(results["benchmarks"], partial)
    results["warnings"] = warnings(results["benchmarks"], results["withheld"])
    results["mean_accuracy"] = None if results["withheld"] else mean_accuracy(results["benchmarks"])
    results.pop("sets")
    write_json(folder.results, results)
    write_csv(folder.table, results)
    folder.markdown.write_text(markdown_table(results), encoding="utf-8")
    return results


def expected_samples(settings: Mapping[str, Any], name: str) -> int:
    """How many samples a run asks of a benchmark under one view."""
    used, samples = settings["sets"][name].get("used"), (settings.get("decoding") or {}).get("samples")
    return (used if isinstance(used, int) else 0) * (samples or 1)


def group(scored: Sequence[Scored]) -> Grouped:
    """Samples by benchmark and view, in their order."""
    found: Grouped = defaultdict(lambda: defaultdict(list))
    for one in scored:
        found[one.generation.benchmark][one.generation.view].append(one)
    return found


def _benchmark(
    folder: ResultsFolder,
    name: str,
    settings: Mapping[str, Any],
    protocol: str,
    grouped: Mapping[str, Grouped],
) -> dict[str, Any]:
    about, seed = settings["sets"][name], int(settings.get("seed", 0))
    expected, aggregate = expected_samples(settings, name), about.get("aggregate")
    sighted = grouped[protocol][name][SIGHTED]  # empty, if the run was stopped before it
    views = {SIGHTED: sighted, **grouped[protocol][name]}
    by_protocol = {other: found[name][SIGHTED] for other, found in grouped.items()}
    return {
        "set": dict(about),
        "views": {
            view: measure(ones, aggregate, expected=expected, seed=seed) for view, ones in views.items()
        },
        "blind": {
            view: blindness(sighted, ones, seed=seed) for view, ones in views.items() if view != SIGHTED
        },
        "protocols": compare_protocols(protocol, by_protocol),
        "tokens": dependence(folder, name, sighted, seed=seed),
    }
