"""The scores that benchmarks define for themselves, from the verdicts on their problems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
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

    With several samples per question, each round of samples is scored and the rounds are averaged.
    """
    values: dict[str, list[float]] = defaultdict(list)
    problems: list[str] = []
    rounds = _rounds(samples, lambda one: one.item.cluster)
    incomplete = 0
    for (cluster, _), answers in rounds.items():
        whole = [one.correct for one in answers if one.item.keys.get("step") == "multi"]
        steps = [one.correct for one in answers if one.item.keys.get("step") != "multi"]
        if len(whole) != 1 or len(steps) not in (2, 3) or None in whole or None in steps:
            incomplete += 1
            continue
        mastered, multi, any_step = all(steps), bool(whole[0]), any(steps)
        problems.append(cluster)
        for name, holds in {
            "IK": not mastered and not multi,
            "IG": mastered and not multi,
            "CM strict": mastered and multi,
            "RM strict": not mastered and multi,
            "CM loose": any_step and multi,
            "RM loose": not any_step and multi,
        }.items():
            values[name].append(float(holds))
    for kind in ("strict", "loose"):
        pairs = zip(values[f"CM {kind}"], values["IG"], strict=True)
        values[f"score {kind}"] = [mastery + 0.5 * general for mastery, general in pairs]
    found: dict[str, Any] = {
        f"score {kind}": clustered_share(values[f"score {kind}"], problems) for kind in ("strict", "loose")
    }
    for kind in ("strict", "loose"):
        rote, mastery = sum(values[f"RM {kind}"]), sum(values[f"CM {kind}"])
        found[f"rote rate {kind}"] = rote / (rote + mastery) if rote + mastery else None
    shares = ("IK", "IG", "CM strict", "CM loose", "RM strict", "RM loose")
    found |= {name: sum(values[name]) / len(problems) if problems else None for name in shares}
    return {**found, "problems": len(set(problems)), "incomplete": incomplete}


def dyna_math(samples: Sequence[Scored]) -> dict[str, Any]:
    """DynaMath: the average over all variants, and the share of problems right in every variant.

    A round of samples counts for the worst case if all ten variants of the problem were asked and answered:
    of fewer it would be a milder case.
    """
    worst: list[float] = []
    problems: list[str] = []
    incomplete = 0
    for (cluster, _), answers in _rounds(samples, lambda one: one.item.cluster).items():
        if len(answers) != VARIANTS or any(one.correct is None for one in answers):
            incomplete += 1
            continue
        problems.append(cluster)
        worst.append(float(all(one.correct for one in answers)))
    right = [one for one in samples if one.correct is not None]
    average = clustered_share(
        [float(bool(one.correct)) for one in right], [one.item.cluster for one in right]
    )
    return {
        "average": average,
        "worst case": clustered_share(worst, problems),
        "problems": len(set(problems)),
        "incomplete": incomplete,
    }


def hallusion(samples: Sequence[Scored]) -> dict[str, Any]:
    """HallusionBench: aAcc over questions; fAcc over figures with every question right; qAcc over
    questions right about every figure they are asked of."""
    right = [one for one in samples if one.correct is not None]
    all_questions = clustered_share(
        [float(bool(one.correct)) for one in right], [one.item.cluster for one in right]
    )
    return {
        "aAcc": all_questions,
        "fAcc": _all_right(samples, "figure"),
        "qAcc": _all_right(samples, "question"),
    }


AGGREGATES: dict[str, Aggregate] = {"we_math": we_math, "dyna_math": dyna_math, "hallusion": hallusion}


def _all_right(samples: Sequence[Scored], key: str) -> Estimate:
    """The share of groups, by one of the problems' keys, of which every member is right."""
    grouped = [one for one in samples if one.item.keys.get(key)]
    values, clusters = [], []
    for answers in _rounds(grouped, lambda one: one.item.keys[key]).values():
        if all(one.correct is not None for one in answers):
            values.append(float(all(one.correct for one in answers)))
            clusters.append(answers[0].item.cluster)
    return clustered_share(values, clusters)


def _rounds(
    samples: Sequence[Scored], group: Callable[[Scored], str]
) -> Mapping[tuple[str, int], list[Scored]]:
    """(group, sample number) -> the samples of that number on the group's problems."""
    found: dict[tuple[str, int], list[Scored]] = defaultdict(list)
    for one in samples:
        found[group(one), one.generation.sample].append(one)
    return found
