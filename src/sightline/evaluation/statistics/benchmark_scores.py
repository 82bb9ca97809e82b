"""The scores that benchmarks define for themselves, from the verdicts on their problems."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..run.grading import Scored
from .intervals import Estimate, clustered_share

VARIANTS = 10
"""Of every DynaMath problem."""

Aggregate = Callable[[Sequence[Scored]], dict[str, Any]]
"""From the samples of one benchmark under one view to named estimates or numbers."""


def we_math(samples: Sequence[Scored]) -> dict[str, Any]:
    """We-Math's four dimensions, over its problems in two or three steps.

    With s: all steps right, m: the whole right, a: any step right:

    - IK (insufficient knowledge) = !s & !m, IG (inadequate generalization) = s & !m;
    - strict: CM (complete mastery) = s & m, RM (rote memorization) = !s & m;
    - loose: CM = a & m, RM = !a & m;
    - score = (CM + IG/2) / problems, rote rate = RM / (RM + CM), None if both are 0.

    With several samples per question, each round of samples is scored, and every problem counts once with the
    mean of its rounds.
    """
    values: dict[str, list[float]] = defaultdict(list)
    problems: list[str] = []
    weights: list[float] = []
    incomplete = 0
    for cluster, answered in _rounds(samples, lambda one: one.item.cluster).items():
        incomplete += answered.lost
        for answers in answered.rounds:
            whole = [bool(one.correct) for one in answers if one.item.keys.get("step") == "multi"]
            steps = [bool(one.correct) for one in answers if one.item.keys.get("step") != "multi"]
            if len(whole) != 1 or len(steps) not in (2, 3):
                incomplete += 1
                continue
            problems.append(cluster)
            weights.append(1 / len(answered.rounds))
            for name, holds in _we_math_kinds(steps, whole[0]).items():
                values[name].append(float(holds))
    for kind in ("strict", "loose"):
        pairs = zip(values[f"CM {kind}"], values["IG"], strict=True)
        values[f"score {kind}"] = [mastery + 0.5 * general for mastery, general in pairs]
    found: dict[str, Any] = {
        f"score {kind}": clustered_share(values[f"score {kind}"], problems, weights)
        for kind in ("strict", "loose")
    }
    shares = ("IK", "IG", "CM strict", "CM loose", "RM strict", "RM loose")
    means = {
        name: sum(w * v for w, v in zip(weights, values[name], strict=True)) / sum(weights)
        if weights
        else None
        for name in shares
    }
    for kind in ("strict", "loose"):
        rote, mastery = means[f"RM {kind}"] or 0.0, means[f"CM {kind}"] or 0.0
        found[f"rote rate {kind}"] = rote / (rote + mastery) if rote + mastery else None
    return {**found, **means, "problems": len(set(problems)), "incomplete": incomplete}


def _we_math_kinds(steps: Sequence[bool], multi: bool) -> dict[str, bool]:
    """Which of We-Math's kinds one answer to a problem's steps and to its whole is."""
    mastered, any_step = all(steps), any(steps)
    return {
        "IK": not mastered and not multi,
        "IG": mastered and not multi,
        "CM strict": mastered and multi,
        "RM strict": not mastered and multi,
        "CM loose": any_step and multi,
        "RM loose": not any_step and multi,
    }


def dyna_math(samples: Sequence[Scored]) -> dict[str, Any]:
    """DynaMath: the average over all variants, and the share of problems right in every variant.

    A round of samples counts for the worst case if all ten variants of the problem were asked and answered:
    of fewer it would be a milder case.
    """
    worst: list[float] = []
    problems: list[str] = []
    weights: list[float] = []
    incomplete = 0
    for cluster, answered in _rounds(samples, lambda one: one.item.cluster).items():
        incomplete += answered.lost
        for answers in answered.rounds:
            if len(answers) != VARIANTS:
                incomplete += 1
                continue
            problems.append(cluster)
            weights.append(1 / len(answered.rounds))
            worst.append(float(all(one.correct for one in answers)))
    return {
        "average": _average(samples),
        "worst case": clustered_share(worst, problems, weights),
        "problems": len(set(problems)),
        "incomplete": incomplete,
    }


def hallusion(samples: Sequence[Scored]) -> dict[str, Any]:
    """HallusionBench: aAcc over questions; fAcc over figures with every question right; qAcc over
    questions right about every figure they are asked of."""
    return {
        "aAcc": _average(samples),
        "fAcc": _all_right(samples, "figure"),
        "qAcc": _all_right(samples, "question"),
    }


def pope(samples: Sequence[Scored]) -> dict[str, Any]:
    """POPE: accuracy, and precision, recall and F1 of "yes", over the answers that say yes or no.

    An answer that says neither counts as no, as in the authors' code. yes share = answers that say yes /
    answers. None where nothing is divided by.
    """
    graded = [one for one in samples if one.correct is not None]
    yes = [_says_yes(one) for one in graded]
    gold = [one.item.answer == "yes" for one in graded]
    hits = sum(said and is_there for said, is_there in zip(yes, gold, strict=True))
    return {
        "accuracy": _average(samples),
        "precision": hits / sum(yes) if sum(yes) else None,
        "recall": hits / sum(gold) if sum(gold) else None,
        "F1": 2 * hits / (sum(yes) + sum(gold)) if sum(yes) + sum(gold) else None,
        "yes share": sum(yes) / len(yes) if yes else None,
    }


def _says_yes(one: Scored) -> bool:
    """A right answer says its gold; a wrong one is looked at."""
    if one.correct:
        return one.item.answer == "yes"
    return re.sub(r"[^a-z ]", "", (one.answer or "").lower()).strip().split(" ")[0] == "yes"


def cv_bench(samples: Sequence[Scored]) -> dict[str, Any]:
    """CV-Bench: 2D is the mean of its two sources, 3D its one source, the score the mean of 2D and 3D."""
    found: dict[str, Any] = {}
    for source in ("ADE20K", "COCO", "Omni3D"):
        part = [one for one in samples if one.item.labels.get("source") == source]
        found[source] = sum(bool(one.correct) for one in part) / len(part) if part else None
    found["2D"] = _mean(found["ADE20K"], found["COCO"])
    found["3D"] = found["Omni3D"]
    return {**found, "score": _mean(found["2D"], found["3D"])}


def _mean(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else (one + other) / 2


AGGREGATES: dict[str, Aggregate] = {
    "we_math": we_math, "dyna_math": dyna_math, "hallusion": hallusion, "pope": pope, "cv_bench": cv_bench,
}  # fmt: skip


def _average(samples: Sequence[Scored]) -> Estimate:
    """The mean over problems of their share of right samples."""
    graded = [one for one in samples if one.correct is not None]
    counts = Counter(one.item.id for one in graded)
    return clustered_share(
        [float(bool(one.correct)) for one in graded],
        [one.item.cluster for one in graded],
        [1 / counts[one.item.id] for one in graded],
    )


def _all_right(samples: Sequence[Scored], key: str) -> Estimate:
    """The share of groups, by one of the problems' keys, of which every member is right."""
    grouped = [one for one in samples if one.item.keys.get(key)]
    values, clusters, weights = [], [], []
    for found in _rounds(grouped, lambda one: one.item.keys[key]).values():
        for answers in found.rounds:
            values.append(float(all(one.correct for one in answers)))
            clusters.append(answers[0].item.cluster)
            weights.append(1 / len(found.rounds))
    return clustered_share(values, clusters, weights)


@dataclass(frozen=True)
class _Rounds:
    """The samples of a group of problems, one of every problem to a round."""

    rounds: Sequence[Sequence[Scored]]
    lost: int
    """Rounds that would be there, had no sample failed."""


def _rounds(samples: Sequence[Scored], group: Callable[[Scored], str]) -> Mapping[str, _Rounds]:
    """Group -> its rounds: the first graded sample of each of its problems, the second, and so on.

    Samples of different problems have nothing to do with each other, so one that failed is replaced by the
    next: a round is lost only where a problem has no sample left.
    """
    groups: dict[str, dict[str, list[Scored]]] = defaultdict(lambda: defaultdict(list))
    for one in samples:
        groups[group(one)][one.item.id].append(one)
    found = {}
    for name, problems in groups.items():
        graded = [[one for one in asked if one.correct is not None] for asked in problems.values()]
        whole = min(map(len, graded))
        rounds = [[answers[number] for answers in graded] for number in range(whole)]
        found[name] = _Rounds(rounds, max(map(len, problems.values())) - whole)
    return found
