"""Two runs over the same problems: differences with intervals, and the problems on which they differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...errors import UserError
from ...plain_files import Refused, read_plain
from ...rewards import PROTOCOLS
from ...structure import TEXT, Optional, fault
from ..benchmarks.item import Item
from ..run.grading import Scored, read_scores, score
from ..run.jsonl_records import SIGHTED
from ..run.results import expected_samples, group
from ..run.results_folder import ResultsFolder
from ..statistics.across_runs import FEW_RUNS, across_runs
from ..statistics.multiple_tests import holm
from ..statistics.paired_shares import Pairs, mean_of_differences, paired_shares
from .run_differences import cut_apart, differences
from .shared_problems import shared_clusters
from .summary import MOST_VALUES, per_problem, share_of
from .warnings import MOST_MISSING, few_clusters

Folders = Sequence[ResultsFolder]


@dataclass(frozen=True)
class Side:
    """A or B: one run, or several of one method with other seeds, under one protocol."""

    letter: str
    folders: Folders
    runs: Sequence[Mapping[str, Sequence[Scored]]]
    """Of every run: benchmark -> samples."""

    def samples(self, name: str) -> list[Scored]:
        """The samples of all runs on one benchmark."""
        return [one for run in self.runs for one in run[name]]

    @property
    def benchmarks(self) -> list[str]:
        """What all of its runs measured, in their order."""
        return [name for name in self.runs[0] if all(name in run for run in self.runs)]


def compare(
    first: ResultsFolder | Folders,
    second: ResultsFolder | Folders,
    protocol: str,
    *,
    seed: int = 0,
    partial: bool = False,
) -> dict[str, Any]:
    """B (`second`) against A on the problems both answered, as plain data; differences are B minus A.

    Both are taken under one protocol, graded now where it is missing. A side may be several runs of one
    method: a problem then counts with the samples of all, and `across` sums up runs and benchmarks. p values
    are corrected (Holm) for the number of benchmarks, those of breakdowns for the number of breakdowns.

    Raises:
        UserError: the runs share no benchmark, a problem's gold is not the same in both, or more than 2 % of
            the samples of a benchmark are missing and that was not accepted (`partial`).
    """
    sides = [_side(letter, given, protocol) for letter, given in (("A", first), ("B", second))]
    shared = [name for name in sides[0].benchmarks if name in sides[1].benchmarks]
    if not shared:
        raise UserError(
            f"{sides[0].folders[0].path} measured {', '.join(sides[0].benchmarks)}, "
            f"{sides[1].folders[0].path} {', '.join(sides[1].benchmarks)}; expected a benchmark in common"
        )
    if not partial:
        _check_missing(sides, shared)
    settings = [side.folders[0].settings() for side in sides]
    told = differences(settings[0], settings[1], shared)
    notes = list(told.scoring)
    found = {name: _benchmark(name, sides, notes, seed) for name in shared}
    notes += _alone(sides, shared)
    pairs = {name: entry.pop("pairs") for name, entry in found.items()}
    flips = {name: entry.pop("flips") for name, entry in found.items()}
    several = min(len(side.folders) for side in sides) > 1
    return {
        "protocol": protocol,
        "runs": [_run(side.folders[0]) for side in sides],
        "sides": [[_run(folder) for folder in side.folders] for side in sides],
        "notes": notes,
        "remarks": [*told.others, *_within_sides(sides, shared)],
        "corrections": _correct(found),
        "benchmarks": found,
        "average": _average(found, pairs, sides, seed) if len(found) > 1 else None,
        "across": _across(sides, shared, notes, seed) if several else None,
        "flips": flips,
    }


def _side(letter: str, given: ResultsFolder | Folders, protocol: str) -> Side:
    folders = [given] if isinstance(given, ResultsFolder) else list(given)
    return Side(letter, folders, [_sighted(folder, protocol) for folder in folders])


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


def _check_missing(sides: Sequence[Side], shared: Sequence[str]) -> None:
    for side in sides:
        for folder, run in zip(side.folders, side.runs, strict=True):
            settings = folder.settings()
            for name in shared:
                graded = sum(one.correct is not None for one in run[name])
                wanted = max(expected_samples(settings, name), len(run[name]))
                if wanted - graded > MOST_MISSING * wanted:
                    raise UserError(
                        f"{folder.path} lacks {wanted - graded} of {wanted} samples of {name}, and those "
                        "that fail are seldom the easy ones: ask them again with sightline eval --resume, "
                        "or give --partial to compare what is there"
                    )


def _alone(sides: Sequence[Side], shared: Sequence[str]) -> list[str]:
    return [
        f"Only {side.letter} ({side.folders[0].path.name}) measured {', '.join(alone)}."
        for side in sides
        if (alone := [name for name in side.benchmarks if name not in shared])
    ]


def _within_sides(sides: Sequence[Side], shared: Sequence[str]) -> list[str]:
    """What the runs of one side do not have in common, but for the seed."""
    found = []
    for side in sides:
        first = side.folders[0].settings()
        for folder in side.folders[1:]:
            told = differences(first, {**folder.settings(), "seed": first.get("seed")}, shared)
            found += [f"{side.letter}, {side.folders[0].path.name} and {folder.path.name}: {said}"
                      for said in told.scoring]  # fmt: skip
    return found


def _benchmark(name: str, sides: Sequence[Side], notes: list[str], seed: int) -> dict[str, Any]:
    ours, theirs = (side.samples(name) for side in sides)
    items = [{one.item.id: one.item for one in samples} for samples in (ours, theirs)]
    _same_golds(name, *items)
    a, b = per_problem(ours), per_problem(theirs)
    common = [key for key in a if key in b]
    notes += _about(name, ours, theirs, common)
    kept = [items[0][key] for key in common]
    gaps = [b[key] - a[key] for key in common]
    entry = {
        "problems": len(common),
        "a": asdict(_share(ours, common)),
        "b": asdict(_share(theirs, common)),
        "difference": paired_shares(gaps, [item.cluster for item in kept], seed=seed).as_dict(),
        "only_a": sum(gap < 0 for gap in gaps),
        "only_b": sum(gap > 0 for gap in gaps),
        "breakdowns": _breakdowns(kept, gaps, seed),
    }
    if few := few_clusters(entry["a"]):
        notes.append(f"{name}: {few}")
    flips = [key for key, gap in zip(common, gaps, strict=True) if gap]
    return {**entry, "pairs": list(zip(kept, gaps, strict=True)), "flips": flips}


def _same_golds(name: str, ours: Mapping[str, Item], theirs: Mapping[str, Item]) -> None:
    changed = [key for key, item in ours.items() if key in theirs and theirs[key].answer != item.answer]
    if changed:
        raise UserError(
            f"{name}: {changed[0]} has another gold in B; the runs used other versions of the set"
        )


def _about(name: str, ours: Sequence[Scored], theirs: Sequence[Scored], common: Sequence[str]) -> list[str]:
    """What makes the two less comparable on one benchmark than they look."""
    asked = [{one.item.id for one in samples} for samples in (ours, theirs)]
    notes = []
    if len(common) < max(map(len, asked)):
        notes.append(
            f"{name}: compared on the {len(common)} problems both answered (A {len(asked[0])}, "
            f"B {len(asked[1])})."
        )
    for letter, samples in (("A", ours), ("B", theirs)):
        if lost := sum(one.correct is None for one in samples):
            notes.append(f"{name}: {lost} of {letter}'s {len(samples)} samples failed and are in no figure.")
    prompts = [{one.item.id: one.generation.prompt for one in samples} for samples in (ours, theirs)]
    if others := sum(prompts[0][key] != prompts[1][key] for key in common):
        notes.append(f"{name}: {others} of {len(common)} problems were asked with another prompt or image.")
    cut = cut_apart(name, *(_truncated(samples) for samples in (ours, theirs)))
    return [*notes, cut] if cut else notes


def _truncated(samples: Sequence[Scored]) -> float | None:
    answered = [one.generation.truncated for one in samples if one.correct is not None]
    return sum(answered) / len(answered) if answered else None


def _share(samples: Sequence[Scored], common: Sequence[str]) -> Any:
    kept = set(common)
    return share_of([one for one in samples if one.correct is not None and one.item.id in kept])


def _breakdowns(items: Sequence[Item], gaps: Sequence[float], seed: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, list[tuple[float, str]]]] = defaultdict(lambda: defaultdict(list))
    for item, gap in zip(items, gaps, strict=True):
        for label, value in item.labels.items():
            found[label][value or "(none)"].append((gap, item.cluster))
    return {
        label: {
            value: paired_shares(
                [gap for gap, _ in pairs], [cluster for _, cluster in pairs], seed=seed
            ).as_dict()
            for value, pairs in values.items()
        }
        for label, values in found.items()
        if 1 < len(values) <= MOST_VALUES
    }


def _correct(found: Mapping[str, Any]) -> dict[str, Any]:
    """Put `p_corrected` beside every p; returns for how many."""
    whole = [entry["difference"] for entry in found.values()]
    parts = [
        difference
        for entry in found.values()
        for values in entry["breakdowns"].values()
        for difference in values.values()
    ]
    for family in (whole, parts):
        defined = [one["p"] if one["p"] == one["p"] else None for one in family]
        for one, p in zip(family, holm(defined), strict=True):
            one["p_corrected"] = p
    return {"method": "Holm", "benchmarks": len(whole), "breakdowns": len(parts)}


def _average(
    found: Mapping[str, Any],
    pairs: Mapping[str, Sequence[tuple[Item, float]]],
    sides: Sequence[Side],
    seed: int,
) -> dict[str, Any]:
    """The mean of the benchmarks' figures, each counting once, with problems that several hold clustered."""
    sets = sides[0].folders[0].settings().get("sets", {})
    clusters = shared_clusters({name: [item for item, _ in ones] for name, ones in pairs.items()}, sets)
    across = [Pairs([gap for _, gap in ones], clusters[name]) for name, ones in pairs.items()]
    return {
        "a": sum(entry["a"]["value"] for entry in found.values()) / len(found),
        "b": sum(entry["b"]["value"] for entry in found.values()) / len(found),
        **mean_of_differences(across, seed=seed),
        "shared": sum(map(len, map(set, clusters.values()))) - len(set().union(*clusters.values())),
    }


def _mean(shares: Mapping[str, float]) -> float:
    return sum(shares.values()) / len(shares)


def _across(sides: Sequence[Side], shared: Sequence[str], notes: list[str], seed: int) -> dict[str, Any]:
    scores = [
        np.array([[_mean(per_problem(run[name])) for name in shared] for run in side.runs], dtype=np.float64)
        for side in sides
    ]
    if min(map(len, scores)) < FEW_RUNS:
        notes.append(
            f"The intervals over runs rest on {len(scores[0])} runs of A and {len(scores[1])} of B; with "
            f"fewer than {FEW_RUNS} they are too narrow."
        )
    return across_runs(scores[0], scores[1], seed=seed)


def headline(first: ResultsFolder | Folders, second: ResultsFolder | Folders, wanted: str | None) -> str:
    """The protocol of a comparison: the one asked for, else the one all runs were reported under.

    Raises:
        UserError: they were reported under different ones and none was asked for.
    """
    if wanted is not None:
        return wanted
    folders = [
        folder
        for given in (first, second)
        for folder in ([given] if isinstance(given, ResultsFolder) else given)
    ]
    ours = _reported(folders[0])
    for folder in folders[1:]:
        if (theirs := _reported(folder)) != ours:
            raise UserError(
                f"{folders[0].path} was reported under {ours}, {folder.path} under {theirs}; give "
                "--protocol, and both are graded by it"
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
