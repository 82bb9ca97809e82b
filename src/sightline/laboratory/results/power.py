"""What a paired study can detect, and how many seeds it needs."""

from __future__ import annotations

import math

import numpy as np

from ...evaluation.statistics.student_t import quantile

POWER, LEVEL = 0.8, 0.05
MOST_SEEDS = 1000

_GRID = 4000


def power(effect: float, seeds: int, level: float = LEVEL) -> float:
    """The chance that a two-sided paired t test over `seeds` seeds finds a true difference.

    P(|T| > t_{1−α/2, n−1}),  T = (Z + δ√n) / √(U/(n−1)),  U ~ χ²_{n−1}

    `effect` is δ, the difference over the spread of the seeds' differences. Integrated over U on a grid; the
    error is below 1e-4. Source: Cohen (1988), chapter 2.
    """
    freedom, shift = seeds - 1, abs(effect) * math.sqrt(seeds)
    bound = quantile(1 - level / 2, freedom)
    # The density of the chi distribution, √U, on a grid that holds all of it.
    middle, width = math.sqrt(freedom), 8.0
    root = np.linspace(max(0.0, middle - width), middle + width, _GRID + 1)[1:]
    log_density = (freedom - 1) * np.log(root) - root**2 / 2
    weight = np.exp(log_density - log_density.max())
    cut = bound * root / math.sqrt(freedom)
    beyond = _normal(shift - cut) + _normal(-shift - cut)
    return float((weight * beyond).sum() / weight.sum())


def detectable(spread: float, seeds: int, wanted: float = POWER) -> float:
    """The smallest true difference that is found with 80 % power; NaN with fewer than two seeds.

    `spread` is the standard deviation of the seeds' paired differences; the result is in its unit.
    """
    if seeds < 2 or math.isnan(spread):
        return math.nan
    low, high = 0.0, 1.0
    while power(high, seeds) < wanted:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, seeds) >= wanted else (middle, high)
    return high * spread


def seeds_needed(spread: float, difference: float, wanted: float = POWER) -> int | None:
    """The fewest seeds that find a true `difference` with 80 % power; None if 1000 are too few."""
    if spread == 0:
        return 2
    effect = abs(difference) / spread
    return next((n for n in range(2, MOST_SEEDS + 1) if power(effect, n) >= wanted), None)


def _normal(values: np.ndarray) -> np.ndarray:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in values])
