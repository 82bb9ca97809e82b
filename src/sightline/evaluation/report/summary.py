"""What the verdicts of a run say: accuracy with intervals, breakdowns, protocols against each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from ...rewards.verdict import UNDECIDED
from ..run.grading import Scored
from ..statistics.benchmark_scores import AGGREGATES
from ..statistics.intervals import Estimate, bootstrap, clustered_share
from ..statistics.paired import detectable_between, paired
from ..statistics.pass_at_k import majority_at, pass_at, sizes

MOST_VALUES = 60
"""A label with more values than this is no breakdown."""


def measure(samples: Sequence[Scored], aggregate: str | None = None, *, seed: int = 0) -> dict[str, Any]:
    """Everything about one benchmark under one view and one protocol, as plain data."""
    graded = [one for one in samples if one.correct is not None]
    values, clusters = _values(graded)
    accuracy = clustered_share(values, clusters)
    return {
        "accuracy": asdict(accuracy),
        "bootstrap": list(bootstrap(values, clusters, seed=seed)),
        "detectable_difference": detectable_between(accuracy.standard_error),
        "samples_per_problem": max((one.generation.sample for one in samples), default=-1) + 1,
        **_repeated(graded, seed),
        **_rates(samples),
        "breakdowns": _breakdowns(graded),
        "scores": _plain(AGGREGATES[aggregate](samples)) if aggregate and samples else {},
    }


def _values(graded: Sequence[Scored]) -> tuple[list[float], list[str]]:
    return [float(bool(one.correct)) for one in graded], [one.item.cluster for one in graded]


def _repeated(graded: Sequence[Scored], seed: int) -> dict[str, Any]:
    """pass@k and maj@k of the problems that have all their samples; nothing for one sample."""
    problems: dict[str, list[Scored]] = defaultdict(list)
    for one in graded:
        problems[one.item.id].append(one)
    most = max(map(len, problems.values()), default=0)
    if most < 2:
        return {"pass_at": {}, "majority_at": {}}
    whole = [answers for answers in problems.values() if len(answers) == most]
    clusters = [answers[0].item.cluster for answers in whole]
    right = [[bool(one.correct) for one in answers] for answers in whole]
    said = [[one.answer for one in answers] for answers in whole]
    passed = {
        str(k): asdict(clustered_share([pass_at(k, most, sum(r)) for r in right], clusters))
        for k in sizes(most)
    }
    voted = {
        str(k): asdict(
            clustered_share(
                [majority_at(k, s, r, seed=seed) for s, r in zip(said, right, strict=True)], clusters
            )
        )
        for k in sizes(most)[1:]
    }
    return {"pass_at": passed, "majority_at": voted}


def _rates(samples: Sequence[Scored]) -> dict[str, Any]:
    """Counts and shares of what can go wrong besides being wrong, and the answers' length."""
    answered = [one for one in samples if one.correct is not None]
    undecided = sum(one.how == UNDECIDED for one in samples)
    lengths = [one.generation.tokens for one in answered if one.generation.tokens is not None]
    counts = {
        "no_box": sum(one.answer is None for one in answered),
        "truncated": sum(one.generation.truncated for one in answered),
        "timeout": sum(one.how in ("timeout", "crash") for one in answered),
        "failed": len(samples) - len(answered) - undecided,
        "undecided": undecided,
    }
    of: dict[str, int] = dict.fromkeys(("failed", "undecided"), len(samples))
    return {
        "samples": len(samples),
        "counts": counts,
        "rates": {
            name: count / of.get(name, len(answered)) if of.get(name, len(answered)) else None
            for name, count in counts.items()
        },
        "how": dict(Counter(one.how for one in samples).most_common()),
        "tokens": {"mean": sum(lengths) / len(lengths), "median": median(lengths), "most": max(lengths)}
        if lengths
        else None,
    }


def _breakdowns(graded: Sequence[Scored]) -> dict[str, dict[str, Any]]:
    """Label -> value -> accuracy, values in the order they were asked."""
    found: dict[str, dict[str, list[Scored]]] = defaultdict(lambda: defaultdict(list))
    for one in graded:
        for label, value in one.item.labels.items():
            found[label][value].append(one)
    return {
        label: {value or "(none)": asdict(clustered_share(*_values(ones))) for value, ones in values.items()}
        for label, values in found.items()
        if 1 < len(values) <= MOST_VALUES
    }


def compare_protocols(
    headline: str, by_protocol: Mapping[str, Sequence[Scored]]
) -> dict[str, dict[str, Any]]:
    """Every other protocol against the headline's verdicts on the same samples, in the same order."""
    found = {}
    for protocol, theirs in by_protocol.items():
        ours = by_protocol[headline]
        both = zip(ours, theirs, strict=True)
        graded = [(a, b) for a, b in both if a.correct is not None and b.correct is not None]
        values, clusters = _values([b for _, b in graded])
        found[protocol] = {
            "accuracy": asdict(clustered_share(values, clusters)),
            "differ": sum(a.correct != b.correct for a, b in graded),
            "accepts_more": sum(not a.correct and bool(b.correct) for a, b in graded),
            "rejects_more": sum(bool(a.correct) and not b.correct for a, b in graded),
        }
    return found


def blindness(sighted: Sequence[Scored], blind: Sequence[Scored], *, seed: int = 0) -> dict[str, Any]:
    """What the image was worth: sighted minus blind accuracy over the same problems, and accuracy where
    the blind model fails (less than half of its samples right)."""
    seen, unseen = per_problem(sighted), per_problem(blind)
    common = [problem for problem in seen if problem in unseen]
    clusters = {one.item.id: one.item.cluster for one in sighted}
    fails = [problem for problem in common if unseen[problem] < 0.5]
    gained = paired([seen[p] - unseen[p] for p in common], [clusters[p] for p in common], seed=seed)
    needing = [one for one in sighted if one.correct is not None and one.item.id in set(fails)]
    return {
        "difference": gained.as_dict(),
        "where_blind_fails": asdict(clustered_share(*_values(needing))),
        "blind_solved": (len(common) - len(fails)) / len(common) if common else None,
        "problems": len(common),
    }


def per_problem(samples: Sequence[Scored]) -> dict[str, float]:
    """Problem id -> share of its graded samples that are right."""
    found: dict[str, list[bool]] = defaultdict(list)
    for one in samples:
        if one.correct is not None:
            found[one.item.id].append(one.correct)
    return {problem: sum(right) / len(right) for problem, right in found.items()}


def _plain(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asdict(value) if isinstance(value, Estimate) else value for name, value in scores.items()}
