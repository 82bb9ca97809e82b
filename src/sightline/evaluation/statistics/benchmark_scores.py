"""The scores that benchmarks define for themselves, from the verdicts on their problems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from ..run.grading import Scored
from .intervals import clustered_share
from .sample_groups import all_right, average, rounds_of
from .scores_of_looking import cv_bench, mmvp, natural_bench, ocr_bench, paired, pope, vlms_are_blind

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
    for cluster, answered in rounds_of(samples, lambda one: one.item.cluster).items():
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
    for cluster, answered in rounds_of(samples, lambda one: one.item.cluster).items():
        incomplete += answered.lost
        for answers in answered.rounds:
            if len(answers) != VARIANTS:
                incomplete += 1
                continue
            problems.append(cluster)
            weights.append(1 / len(answered.rounds))
            worst.append(float(all(one.correct for one in answers)))
    return {
        "average": average(samples),
        "worst case": clustered_share(worst, problems, weights),
        "problems": len(set(problems)),
        "incomplete": incomplete,
    }


def hallusion(samples: Sequence[Scored]) -> dict[str, Any]:
    """HallusionBench: aAcc over questions; fAcc over figures with every question right; qAcc over
    questions right about every figure they are asked of."""
    return {
        "aAcc": average(samples),
        "fAcc": all_right(samples, "figure"),
        "qAcc": all_right(samples, "question"),
    }


AGGREGATES: dict[str, Aggregate] = {
    "we_math": we_math, "dyna_math": dyna_math, "hallusion": hallusion, "pope": pope, "cv_bench": cv_bench,
    "natural_bench": natural_bench, "mmvp": mmvp, "vlms_are_blind": vlms_are_blind, "ocr_bench": ocr_bench,
    "paired": paired,
}  # fmt: skip
