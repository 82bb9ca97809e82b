"""`results.json`: everything a run has to say, made from its folder alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ...rewards import OF_EVERY_RUN
from ...run_folder import write_json
from ..report.summary import blindness, compare_protocols, measure
from ..report.tables import markdown_table, mean_accuracy, write_csv
from ..tokens.token_summaries import dependence
from .ask import SIGHTED
from .grading import Scored, all_scores
from .results_folder import ResultsFolder

Grouped = dict[str, dict[str, list[Scored]]]
"""Benchmark -> view -> samples."""


def write_results(
    folder: ResultsFolder, protocol: str, *, grade: Sequence[str] = OF_EVERY_RUN
) -> dict[str, Any]:
    """Grade by the protocols in `grade`, read the other scores, and write results.json, .csv and .md.

    `protocol` is the one whose figures are the run's; the others are set against it.
    """
    settings = folder.settings()
    verdicts = all_scores(folder, tuple(dict.fromkeys([protocol, *grade])))
    grouped = {name: group(scored) for name, scored in verdicts.items()}
    results = {
        **settings,
        "protocol": protocol,
        "benchmarks": {
            name: _benchmark(folder, name, about, protocol, grouped, int(settings.get("seed", 0)))
            for name, about in settings["sets"].items()
        },
        "files": {
            "problems": folder.problems.name,
            "generations": folder.generations.name,
            "images": folder.images.name,
            "scores": {name: folder.scores(name).name for name in verdicts},
        },
    }
    results["mean_accuracy"] = mean_accuracy(results["benchmarks"])
    results.pop("sets")
    write_json(folder.results, results)
    write_csv(folder.table, results)
    folder.markdown.write_text(markdown_table(results), encoding="utf-8")
    return results


def group(scored: Sequence[Scored]) -> Grouped:
    """Samples by benchmark and view, in their order."""
    found: Grouped = defaultdict(lambda: defaultdict(list))
    for one in scored:
        found[one.generation.benchmark][one.generation.view].append(one)
    return found


def _benchmark(
    folder: ResultsFolder,
    name: str,
    about: Mapping[str, Any],
    protocol: str,
    grouped: Mapping[str, Grouped],
    seed: int,
) -> dict[str, Any]:
    sighted = grouped[protocol][name][SIGHTED]  # empty, if the run was stopped before it
    views = {SIGHTED: sighted, **grouped[protocol][name]}
    by_protocol = {other: found[name][SIGHTED] for other, found in grouped.items()}
    return {
        "set": dict(about),
        "views": {view: measure(ones, about.get("aggregate"), seed=seed) for view, ones in views.items()},
        "blind": {
            view: blindness(sighted, ones, seed=seed) for view, ones in views.items() if view != SIGHTED
        },
        "protocols": compare_protocols(protocol, by_protocol),
        "tokens": dependence(folder, name, sighted, seed=seed),
    }
