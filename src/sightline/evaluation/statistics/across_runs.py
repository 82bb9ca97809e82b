"""Several runs of two methods over several benchmarks, summed up as Agarwal et al. 2021 propose.

The formulas are those of arXiv 2108.13264; its authors' package `rliable` has had no release since 2024.
Scores are [R, K]: one accuracy per run (seed) and benchmark, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Scores = np.ndarray[Any, np.dtype[np.float64]]

RESAMPLES = 2000
FEW_RUNS = 5
"""With fewer runs a side the bootstrap's intervals are too narrow, and it is said."""
THRESHOLDS = tuple(step / 20 for step in range(20))


def interquartile_mean(scores: Scores) -> float:
    """The mean of the middle half of all runs' scores on all benchmarks, [R, K] -> one number.

    ⌊n/4⌋ of the n = R·K scores are left out at either end. Source: section 4.3.
    """
    ordered = np.sort(scores, axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def probability_of_improvement(ours: Scores, theirs: Scores) -> float:
    """The chance that a run of ours beats one of theirs on a benchmark drawn at random.

    (1/K) Σ_k (1/RS) Σ_ij (1[x_ik > y_jk] + ½·1[x_ik = y_jk]),  from [R, K] and [S, K]. Source: section 4.3.
    """
    gaps = ours[:, None, :] - theirs[None, :, :]
    return float((np.sign(gaps) / 2 + 0.5).mean())


def performance_profile(scores: Scores, thresholds: Sequence[float] = THRESHOLDS) -> list[float]:
    """For every threshold the share of the runs' scores above it, [R, K] -> one number each.

    F(τ) = (1/RK) Σ 1[x_rk > τ]. Source: section 4.2.
    """
    return [float((scores > threshold).mean()) for threshold in thresholds]


def across_runs(ours: Scores, theirs: Scores, *, seed: int = 0) -> dict[str, Any]:
    """B (`theirs`) against A (`ours`) by these three, with 95 % intervals, as plain data.

    The intervals are percentiles of the stratified bootstrap: runs are drawn with replacement, for every
    benchmark apart. They hold the noise of seeds, not that of which problems a benchmark has.
    """
    random = np.random.default_rng(seed)
    drawn_a, drawn_b = (resampled(scores, random) for scores in (ours, theirs))

    def both(measure: Callable[[Scores], float]) -> dict[str, dict[str, float]]:
        a, b = (np.array([measure(one) for one in drawn]) for drawn in (drawn_a, drawn_b))
        return {
            "a": bootstrap_interval(measure(ours), a),
            "b": bootstrap_interval(measure(theirs), b),
            "difference": bootstrap_interval(measure(theirs) - measure(ours), b - a),
        }

    improved = [probability_of_improvement(y, x) for x, y in zip(drawn_a, drawn_b, strict=True)]
    return {
        "runs": [len(ours), len(theirs)],
        "benchmarks": int(ours.shape[1]),
        "resamples": RESAMPLES,
        "interquartile_mean": both(interquartile_mean),
        "probability_of_improvement": bootstrap_interval(
            probability_of_improvement(theirs, ours), np.array(improved)
        ),
        "profiles": {
            "thresholds": list(THRESHOLDS),
            "a": _profile(ours, drawn_a),
            "b": _profile(theirs, drawn_b),
        },
    }


def bootstrap_interval(value: float, drawn: Scores) -> dict[str, float]:
    """A value with the middle 95 % of its bootstrap draws."""
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"value": value, "low": float(low), "high": float(high)}


def resampled(scores: Scores, random: np.random.Generator) -> Scores:
    """Bootstrap draws, [RESAMPLES, R, K]: for every benchmark its own runs."""
    runs, benchmarks = scores.shape
    drawn = random.integers(runs, size=(RESAMPLES, runs, benchmarks))
    return scores[drawn, np.arange(benchmarks)]


def _profile(scores: Scores, drawn: Scores) -> dict[str, list[float]]:
    shares = np.stack([(drawn > threshold).mean((1, 2)) for threshold in THRESHOLDS])
    low, high = np.percentile(shares, [2.5, 97.5], axis=1)
    return {"value": performance_profile(scores), "low": low.tolist(), "high": high.tolist()}
