"""What the verdicts of a run say: accuracy with intervals, breakdowns, protocols against each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from ...rewards.verdict import UNDECIDED
from ..run.grading import Scored
from ..statistics.benchmark_scores import AGGREGATES
from ..statistics.intervals import Estimate, clustered_share
from ..statistics.noise import two_sources
from ..statistics.paired import detectable_between
from ..statistics.paired_shares import paired_shares
from ..statistics.pass_at_k import majority_at, pass_at, sizes

MOST_VALUES = 60
"""A label with more values than this is no breakdown."""


def measure(
    samples: Sequence[Scored], aggregate: str | None = None, *, expected: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Everything about one benchmark under one view and one protocol, as plain data.

    Every problem counts once, with the mean of the samples it has; `expected` is how many samples were to be
    there (None: those that are), and what lacks is counted under `missing`.
    """
    graded = [one for one in samples if one.correct is not None]
    accuracy = share_of(graded)
    problems = right_of(graded)
    noise = two_sources(list(problems.values()), accuracy.standard_error)
    return {
        "accuracy": asdict(accuracy),
        "noise": noise.as_dict() if noise else None,
        "detectable_difference": detectable_between(accuracy.standard_error),
        "samples_per_problem": max((one.generation.sample for one in samples), default=-1) + 1,
        "missing": _missing(samples, graded, expected),
        **_repeated(graded, seed),
        **_rates(samples),
        "breakdowns": _breakdowns(graded),
        "scores": _plain(AGGREGATES[aggregate](samples)) if aggregate and samples else {},
    }


def share_of(graded: Sequence[Scored]) -> Estimate:
    """The mean over problems of their share of right samples, clustered."""
    counts = Counter(one.item.id for one in graded)
    return clustered_share(
        [float(bool(one.correct)) for one in graded],
        [one.item.cluster for one in graded],
        [1 / counts[one.item.id] for one in graded],
    )


def right_of(graded: Sequence[Scored]) -> dict[str, tuple[int, int]]:
    """Problem id -> (right samples, samples)."""
    found: dict[str, tuple[int, int]] = {}
    for one in graded:
        right, count = found.get(one.item.id, (0, 0))
        found[one.item.id] = right + bool(one.correct), count + 1
    return found


def _missing(samples: Sequence[Scored], graded: Sequence[Scored], expected: int | None) -> dict[str, Any]:
    wanted = max(expected or 0, len(samples))
    asked, counts = {one.item.id for one in samples}, Counter(one.item.id for one in graded)
    most = max(counts.values(), default=0)
    return {
        "samples": wanted - len(graded),
        "share": (wanted - len(graded)) / wanted if wanted else None,
        "problems_without": sum(problem not in counts for problem in asked),
        "problems_with_fewer": sum(0 < counts[problem] < most for problem in asked),
    }


def _repeated(graded: Sequence[Scored], seed: int) -> dict[str, Any]:
    """pass@k and maj@k of every problem that has k samples; how many have fewer is said with each. Nothing
    for one sample."""
    problems: dict[str, list[Scored]] = defaultdict(list)
    for one in graded:
        problems[one.item.id].append(one)
    most = max(map(len, problems.values()), default=0)
    if most < 2:
        return {"pass_at": {}, "majority_at": {}}

    def passes(k: int, answers: Sequence[Scored]) -> float:
        return pass_at(k, len(answers), sum(bool(one.correct) for one in answers))

    def votes(k: int, answers: Sequence[Scored]) -> float:
        right = [bool(one.correct) for one in answers]
        return majority_at(k, [one.answer for one in answers], right, seed=seed)

    def over(k: int, value: Callable[[int, Sequence[Scored]], float]) -> dict[str, Any]:
        enough = [answers for answers in problems.values() if len(answers) >= k]
        share = clustered_share(
            [value(k, answers) for answers in enough], [answers[0].item.cluster for answers in enough]
        )
        return {**asdict(share), "left_out": len(problems) - len(enough)}

    return {
        "pass_at": {str(k): over(k, passes) for k in sizes(most)},
        "majority_at": {str(k): over(k, votes) for k in sizes(most)[1:]},
    }


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
        label: {value or "(none)": asdict(share_of(ones)) for value, ones in values.items()}
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
        found[protocol] = {
            "accuracy": asdict(share_of([b for _, b in graded])),
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
    gained = paired_shares([seen[p] - unseen[p] for p in common], [clusters[p] for p in common], seed=seed)
    failing = set(fails)
    needing = [one for one in sighted if one.correct is not None and one.item.id in failing]
    return {
        "difference": gained.as_dict(),
        "where_blind_fails": asdict(share_of(needing)),
        "blind_solved": (len(common) - len(fails)) / len(common) if common else None,
        "problems": len(common),
    }


def per_problem(samples: Sequence[Scored]) -> dict[str, float]:
    """Problem id -> share of its graded samples that are right."""
    found = right_of([one for one in samples if one.correct is not None])
    return {problem: right / count for problem, (right, count) in found.items()}


def _plain(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asdict(value) if isinstance(value, Estimate) else value for name, value in scores.items()}
