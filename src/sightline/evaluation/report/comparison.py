"""Two runs over the same problems: differences with intervals, and the problems on which they differ."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...errors import UserError
from ...plain_files import Refused, read_plain
from ...rewards import PROTOCOLS
from ...structure import TEXT, Optional, fault
from ..run.ask import SIGHTED
from ..run.grading import Scored, read_scores, score
from ..run.results import group
from ..run.results_folder import ResultsFolder
from ..statistics.intervals import Z_95, clustered_share
from ..statistics.paired import Difference, paired
from ..statistics.student_t import two_sided
from .summary import MOST_VALUES, per_problem

MANY = 1_000_000
"""Degrees of freedom that stand for a normal distribution."""


def compare(first: ResultsFolder, second: ResultsFolder, protocol: str, *, seed: int = 0) -> dict[str, Any]:
    """B (`second`) against A on the problems both answered, as plain data; differences are B minus A.

    Both are taken under one protocol, graded now where it is missing.

    Raises:
        UserError: the runs share no benchmark, or a problem's gold is not the same in both.
    """
    samples = [_sighted(folder, protocol) for folder in (first, second)]
    shared = [name for name in samples[0] if name in samples[1]]
    if not shared:
        raise UserError(
            f"{first.path} measured {', '.join(samples[0])}, {second.path} {', '.join(samples[1])}; expected "
            "a benchmark in common"
        )
    notes = _notes(first, second, samples, shared)
    found = {name: _benchmark(name, samples[0][name], samples[1][name], notes, seed) for name in shared}
    flips = {name: entry.pop("flips") for name, entry in found.items()}
    return {
        "protocol": protocol,
        "runs": [_run(folder) for folder in (first, second)],
        "notes": notes,
        "benchmarks": found,
        "average": _average(list(found.values())) if len(found) > 1 else None,
        "flips": flips,
    }


def _sighted(folder: ResultsFolder, protocol: str) -> dict[str, list[Scored]]:
    there = folder.scores(protocol).is_file()
    scored = read_scores(folder, protocol) if there else score(folder, protocol)
    return {name: views[SIGHTED] for name, views in group(scored).items() if SIGHTED in views}


def _run(folder: ResultsFolder) -> dict[str, Any]:
    files = {
        "problems": folder.problems.name, "generations": folder.generations.name,
        "images": folder.images.name,
        "scores": {name: folder.scores(name).name for name in PROTOCOLS if folder.scores(name).is_file()},
    }  # fmt: skip
    return {
        "path": str(folder.path.resolve()),
        "name": folder.path.resolve().name,
        "model": folder.settings()["model"],
        "files": files,
    }


def _notes(
    first: ResultsFolder,
    second: ResultsFolder,
    samples: Sequence[Mapping[str, Sequence[Scored]]],
    shared: Sequence[str],
) -> list[str]:
    """What makes the two less comparable than they look."""
    notes = []
    ours, theirs = first.settings(), second.settings()
    for name in ("decoding", "prompt", "backend"):
        if ours.get(name) != theirs.get(name):
            notes.append(f"The runs differ in {name}: {_differing(ours.get(name), theirs.get(name))}.")
    for folder, own, label in ((first, samples[0], "A"), (second, samples[1], "B")):
        if alone := [name for name in own if name not in shared]:
            notes.append(f"Only {label} ({folder.path.name}) measured {', '.join(alone)}.")
    return notes


def _differing(ours: Any, theirs: Any) -> str:
    """What is not the same of two settings: `samples 1 and 8, temperature 0.0 and 1.0`."""
    if not (isinstance(ours, Mapping) and isinstance(theirs, Mapping)):
        return f"{ours} and {theirs}"
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return ", ".join(f"{name} {ours.get(name)} and {theirs.get(name)}" for name in names)


def _benchmark(
    name: str, ours: Sequence[Scored], theirs: Sequence[Scored], notes: list[str], seed: int
) -> dict[str, Any]:
    items = [{one.item.id: one.item for one in samples} for samples in (ours, theirs)]
    changed = [
        key for key, item in items[0].items() if key in items[1] and items[1][key].answer != item.answer
    ]
    if changed:
        raise UserError(
            f"{name}: {changed[0]} has another gold in B; the runs used other versions of the set"
        )
    a, b = per_problem(ours), per_problem(theirs)
    common = [key for key in a if key in b]
    if len(common) < max(len(a), len(b)):
        notes.append(
            f"{name}: compared on the {len(common)} problems both answered (A {len(a)}, B {len(b)})."
        )
    prompts = [{one.item.id: one.generation.prompt for one in samples} for samples in (ours, theirs)]
    if others := sum(prompts[0][key] != prompts[1][key] for key in common):
        notes.append(f"{name}: {others} of {len(common)} problems were asked with another prompt or image.")
    clusters = [items[0][key].cluster for key in common]
    gaps = [b[key] - a[key] for key in common]
    return {
        "problems": len(common),
        "a": asdict(_share(ours, common)),
        "b": asdict(_share(theirs, common)),
        "difference": paired(gaps, clusters, seed=seed).as_dict(),
        "only_a": sum(gap < 0 for gap in gaps),
        "only_b": sum(gap > 0 for gap in gaps),
        "breakdowns": _breakdowns([items[0][key] for key in common], gaps, seed),
        "flips": [key for key, gap in zip(common, gaps, strict=True) if gap],
    }


def _share(samples: Sequence[Scored], common: Sequence[str]) -> Any:
    kept = set(common)
    graded = [one for one in samples if one.correct is not None and one.item.id in kept]
    return clustered_share([float(bool(one.correct)) for one in graded], [one.item.cluster for one in graded])


def _breakdowns(items: Sequence[Any], gaps: Sequence[float], seed: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, list[tuple[float, str]]]] = defaultdict(lambda: defaultdict(list))
    for item, gap in zip(items, gaps, strict=True):
        for label, value in item.labels.items():
            found[label][value or "(none)"].append((gap, item.cluster))
    return {
        label: {
            value: paired([gap for gap, _ in pairs], [cluster for _, cluster in pairs], seed=seed).as_dict()
            for value, pairs in values.items()
        }
        for label, values in found.items()
        if 1 < len(values) <= MOST_VALUES
    }


def _average(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of the benchmarks' figures, each counting once; the benchmarks are independent."""
    count = len(found)
    differences = [Difference(**entry["difference"]) for entry in found]
    value = sum(one.value for one in differences) / count
    error = math.sqrt(sum(one.standard_error**2 for one in differences)) / count
    defined = error > 0
    return {
        "a": sum(entry["a"]["value"] for entry in found) / count,
        "b": sum(entry["b"]["value"] for entry in found) / count,
        "value": value,
        "low": value - Z_95 * error if defined else None,
        "high": value + Z_95 * error if defined else None,
        "p": two_sided(value / error, MANY) if defined else None,
    }


def headline(first: ResultsFolder, second: ResultsFolder, wanted: str | None) -> str:
    """The protocol of a comparison: the one asked for, else the one both runs were reported under.

    Raises:
        UserError: they were reported under different ones and none was asked for.
    """
    if wanted is not None:
        return wanted
    ours, theirs = (_reported(folder) for folder in (first, second))
    if ours != theirs:
        raise UserError(
            f"{first.path} was reported under {ours}, {second.path} under {theirs}; give --protocol, and "
            "both are graded by it"
        )
    return ours


def _reported(folder: ResultsFolder) -> str:
    settings: Any = folder.settings()
    if folder.results.is_file():
        again = f"write it again with sightline score {folder.path}"
        try:
            settings = read_plain(folder.results)
        except (OSError, Refused) as error:
            raise UserError(f"{folder.results} cannot be read: it {error}; {again}") from error
        if wrong := fault(settings, {"protocol": Optional(TEXT)}):
            raise UserError(f"{folder.results} is damaged: {wrong}; {again}")
    return settings.get("protocol") or "strict"
