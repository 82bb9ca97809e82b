"""Two arms as two samples of runs: Welch's interval, middle means, the chance of a better run, profiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from ...evaluation.statistics.across_runs import (
    Scores,
    bootstrap_interval,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    resampled,
)

STEPS = 20
"""Thresholds of a profile, evenly from the worst run of all arms to the best."""


def welch(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any] | None:
    """Mean of `ours` minus mean of `theirs`, runs not paired, with a 95 % interval and two-sided p.

    se² = s₁²/n₁ + s₂²/n₂,  ν = se⁴ / (s₁⁴/(n₁²(n₁−1)) + s₂⁴/(n₂²(n₂−1))),  ± t_{0.975, ν}·se

    None if a side has fewer than two runs, or none of them differ. Source: Welch, Biometrika 34 (1947).
    """
    if min(len(ours), len(theirs)) < 2:
        return None
    parts = [float(np.var(one, ddof=1)) / len(one) for one in (ours, theirs)]
    square = sum(parts)
    if square == 0:
        return None
    freedom = square**2 / sum(
        part**2 / (len(one) - 1) for part, one in zip(parts, (ours, theirs), strict=True)
    )
    value, error = float(np.mean(ours) - np.mean(theirs)), math.sqrt(square)
    half = float(stdtrit(freedom, 0.975)) * error
    p = float(2 * stdtr(freedom, -abs(value) / error))
    return {"value": value, "low": value - half, "high": value + half, "p": p, "freedom": freedom}


def against(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any] | None:
    """`welch`, and the chance that a run of ours beats one of theirs with its bootstrap interval."""
    difference = welch(ours, theirs)
    if difference is None:
        return None
    random = np.random.default_rng(0)
    a, b = (np.asarray(one, dtype=np.float64)[:, None] for one in (ours, theirs))
    x, y = resampled(a, random)[:, :, 0], resampled(b, random)[:, :, 0]
    drawn = (np.sign(x[:, :, None] - y[:, None, :]) / 2 + 0.5).mean((1, 2))
    chance = bootstrap_interval(probability_of_improvement(a, b), drawn)
    return {"welch": difference, "improvement": chance, "runs": [len(ours), len(theirs)]}


def middle_mean(values: Sequence[float]) -> dict[str, float] | None:
    """Interquartile mean of runs with its bootstrap interval; None of fewer than four runs."""
    if len(values) < 4:
        return None
    scores = np.asarray(values, dtype=np.float64)[:, None]
    cut = len(values) // 4
    drawn = np.sort(resampled(scores, np.random.default_rng(0))[:, :, 0], axis=1)
    return bootstrap_interval(interquartile_mean(scores), drawn[:, cut : len(values) - cut].mean(1))


def profiles(values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """For thresholds over all runs the share of each arm's runs above them."""
    known = [value for runs in values.values() for value in runs]
    if not known:
        return {"thresholds": [], "shares": {}}
    thresholds = np.linspace(min(known), max(known), STEPS).tolist()
    shares = {
        arm: performance_profile(np.asarray(runs)[:, None], thresholds)
        for arm, runs in values.items()
        if runs
    }
    return {"thresholds": thresholds, "shares": shares}


def two_sources(differences: Scores) -> dict[str, float] | None:
    """The mean of paired differences [seeds, problems] with standard errors from both that were drawn.

    MS_s, MS_p and MS_e of the two-way layout:  `training` √(MS_s/SP), other runs on these problems;
    `problems` √(MS_p/SP), these runs on other problems;  `both` √((MS_s + MS_p − MS_e)/SP), other runs on
    other problems, at least the larger of the two, with the interval ± t_{0.975, S−1}·both. None with fewer
    than two seeds or problems. Source: Searle, Casella and McCulloch, Variance Components (1992), chapter 4.
    """
    seeds, problems = differences.shape
    if min(seeds, problems) < 2:
        return None
    value = float(differences.mean())
    rows, columns = differences.mean(1) - value, differences.mean(0) - value
    rest = differences - value - rows[:, None] - columns
    of_seeds = problems * float(rows @ rows) / (seeds - 1)
    of_problems = seeds * float(columns @ columns) / (problems - 1)
    of_rest = float(np.square(rest).sum()) / ((seeds - 1) * (problems - 1))
    most = max(of_seeds + of_problems - of_rest, of_seeds, of_problems)
    training, drawn, both = (math.sqrt(one / differences.size) for one in (of_seeds, of_problems, most))
    half = float(stdtrit(seeds - 1, 0.975)) * both
    return {"value": value, "training": training, "problems": drawn, "both": both,
            "low": value - half, "high": value + half}  # fmt: skip
