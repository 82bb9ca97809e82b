"""Warnings about a run's figures: missing samples, too few clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_MISSING = 0.02
"""Largest share of missing samples with which a headline is given unasked."""
FEW_CLUSTERS = 30
"""Of fewer effective clusters an interval is wide or rests on what cannot be seen in them."""


def withheld(benchmarks: Mapping[str, Any], partial: bool) -> dict[str, str]:
    """Benchmark -> why its figures are not to be quoted; none if that was asked for (`partial`)."""
    if partial:
        return {}
    return {
        name: f"{100 * share:.1f} % missing"
        for name, found in benchmarks.items()
        if (share := _most_missing(found)) > MOST_MISSING
    }


def _most_missing(found: Mapping[str, Any]) -> float:
    """The largest share that lacks of a benchmark's samples under any view; 0 where nothing was asked yet."""
    return max(
        (view["missing"]["share"] or 0.0 for view in found["views"].values() if view["samples"]), default=0
    )


def warnings(benchmarks: Mapping[str, Any], refused: Mapping[str, str]) -> list[str]:
    """One sentence for each thing a reader has to know before believing a figure."""
    found = []
    for name, benchmark in benchmarks.items():
        for view, measured in benchmark["views"].items():
            where = name if view == "sighted" else f"{name}, {view}"
            found += [f"{where}: {said}" for said in _missing(measured)]
        if few := few_clusters(benchmark["views"]["sighted"]["accuracy"]):
            found.append(f"{name}: {few}")
    if refused:
        names = ", ".join(f"{name} ({why})" for name, why in refused.items())
        found.append(
            f"No headline for {names}: samples that fail are seldom the easy ones. Ask them again with "
            "--resume, or give --partial to have the figures of what is there."
        )
    return found


def _missing(measured: Mapping[str, Any]) -> Sequence[str]:
    lost = measured["missing"]
    if not (measured["samples"] and lost["samples"]):
        return ()
    said = f"{lost['samples']} samples are missing ({100 * lost['share']:.1f} %)"
    if lost["problems_without"]:
        said += f"; {lost['problems_without']} problems have none and are in no figure"
    if lost["problems_with_fewer"]:
        said += f"; {lost['problems_with_fewer']} have fewer than the others and count with those they have"
    return (said + ".",)


def few_clusters(estimate: Mapping[str, Any]) -> str | None:
    """A sentence if an estimate rests on few effective clusters."""
    effective, count = estimate["effective_clusters"], estimate["clusters"]
    if not effective < FEW_CLUSTERS:  # enough, or none
        return None
    return (
        f"the interval rests on {count} clusters of problems that count as {effective:.1f} of equal size; "
        f"with fewer than {FEW_CLUSTERS} it says little about other problems."
    )
