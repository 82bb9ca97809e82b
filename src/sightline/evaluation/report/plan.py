"""How many problems and samples find a difference, from what earlier runs vary by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import UserError
from ..run.grading import Scored, read_scores, score
from ..run.jsonl_records import SIGHTED
from ..run.results import group
from ..run.results_folder import ResultsFolder
from ..statistics.noise import PairedNoise, assumed, of_one_run, of_two_runs, single_samples, two_sources
from ..statistics.paired_shares import paired_shares
from .summary import per_problem, right_of, share_of

SAMPLES = (1, 2, 4, 8, 16)
"""Samples of a problem that a plan lists."""
CORRELATION, ACCURACY, SAMPLING = 0.5, 0.5, 0.5
"""Assumed where no run says: how the problem means of two models correlate (Miller 2024 found 0.3 to 0.7),
the accuracy, and the share of a single sample's variance that comes from sampling."""


def assumed_plan(
    difference: float, accuracy: float | None, sampling: float | None, correlation: float | None
) -> dict[str, Any]:
    """A plan without a run, as plain data; what is None has the default above."""
    values = [
        default if given is None else given
        for given, default in ((accuracy, ACCURACY), (sampling, SAMPLING), (correlation, CORRELATION))
    ]
    noise = assumed(*values)
    note = (
        f"Assumed: accuracy {100 * values[0]:g} %, {100 * values[1]:g} % of a single sample's variance "
        f"from sampling, problem means correlated by {values[2]:g}. A run with --limit 100 "
        "--samples 4 measures them."
    )
    return {
        "difference": difference,
        "benchmarks": {"any": _entry(noise, difference, None)},
        "notes": [note],
    }


def plan_from(
    folders: Sequence[ResultsFolder], difference: float, protocol: str, correlation: float | None
) -> dict[str, Any]:
    """A plan per benchmark from one run, or from two on the same problems, as plain data.

    Raises:
        UserError: two runs have no benchmark in common.
    """
    runs = [_sighted(folder, protocol) for folder in folders]
    shared = [name for name in runs[0] if all(name in run for run in runs)]
    if not shared:
        raise UserError(f"{folders[0].path} and {folders[-1].path} have no benchmark in common")
    notes: list[str] = []
    found = {}
    for name in shared:
        noise = _noise(name, [run[name] for run in runs], correlation, notes)
        if noise is not None:
            found[name] = _entry(noise, difference, len({one.item.id for one in runs[0][name]}))
    if len(runs) == 1:
        used = CORRELATION if correlation is None else correlation
        notes.append(
            f"Assumed: the problem means of the two models correlate by {used:g}; a second run says."
        )
    return {"difference": difference, "benchmarks": found, "notes": notes}


def _entry(noise: PairedNoise, difference: float, has: int | None) -> dict[str, Any]:
    return {
        "has": has,
        "question_variance": noise.questions,
        "sampling_variance": noise.sampling,
        "problems": {str(k): noise.problems(difference, k) for k in SAMPLES},
        "detectable": {str(k): noise.detectable(has, k) for k in SAMPLES} if has else None,
    }


def _noise(
    name: str, runs: Sequence[Sequence[Scored]], correlation: float | None, notes: list[str]
) -> PairedNoise | None:
    graded = [[one for one in samples if one.correct is not None] for samples in runs]
    shares = [share_of(ones) for ones in graded]
    if any(share.clusters < 2 for share in shares):
        notes.append(f"{name}: fewer than two clusters of problems say nothing of their variance.")
        return None
    apart = [
        two_sources(list(right_of(ones).values()), share.standard_error)
        for ones, share in zip(graded, shares, strict=True)
    ]
    known = [one for one in apart if one is not None]
    if len(known) < len(apart):
        notes.append(
            f"{name}: a run of one sample per problem does not tell its sources of noise apart; all of it is "
            "taken for the problems', so more samples seem to buy nothing. Measure with --samples 4."
        )
        known = [
            single_samples(len(right_of(o)), s.standard_error) for o, s in zip(graded, shares, strict=True)
        ]
    if len(runs) == 1:
        return of_one_run(known[0], CORRELATION if correlation is None else correlation)
    gap = _gap(graded)
    return of_two_runs(known[0], known[1], gap)


def _gap(runs: Sequence[Sequence[Scored]]) -> float:
    """The standard error of the paired difference over the problems both runs have."""
    first, second = (per_problem(samples) for samples in runs)
    clusters: Mapping[str, str] = {one.item.id: one.item.cluster for one in runs[0]}
    common = [problem for problem in first if problem in second]
    gaps = [second[problem] - first[problem] for problem in common]
    return paired_shares(gaps, [clusters[problem] for problem in common]).standard_error


def _sighted(folder: ResultsFolder, protocol: str) -> dict[str, list[Scored]]:
    there = folder.scores(protocol).is_file()
    scored = read_scores(folder, protocol) if there else score(folder, protocol)
    return {name: views[SIGHTED] for name, views in group(scored).items() if SIGHTED in views}
