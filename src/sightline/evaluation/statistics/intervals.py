"""Estimates with intervals: shares and means whose samples come in clusters.

Samples of one problem, or versions of one problem, are not independent: every interval here treats the
cluster as the unit that was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .student_t import quantile

Z_95 = 1.959963984540054
RESAMPLES = 10_000
"""Draws of a bootstrap: its interval's ends then move by about 1 % of its width between seeds."""


@dataclass(frozen=True)
class Measured:
    """A share with its 95 % interval over `n` problems."""

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclass(frozen=True)
class Estimate(Measured):
    """A mean or share of `n` samples in `clusters` clusters, with its 95 % interval."""

    clusters: int
    standard_error: float
    """Cluster-robust; NaN with fewer than two clusters."""


def proportion(correct: Sequence[bool]) -> Measured:
    """Share of true values with Wilson's score interval.

    centre = (p + z²/2n) / (1 + z²/n),  half = z/(1 + z²/n) · √(p(1−p)/n + z²/4n²),  z = 1.96

    One value per problem, problems independent. No problems give NaN and the interval [0, 1].
    Source: Wilson, JASA 22 (1927).
    """
    n = len(correct)
    if n == 0:
        return Measured(math.nan, 0.0, 1.0, 0)
    share = sum(bool(c) for c in correct) / n
    return Measured(share, *_wilson(share, n, Z_95), n)


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    spread = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / spread
    half = z / spread * math.sqrt(share * (1 - share) / n + z**2 / (4 * n * n))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high


def clustered_mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    """Mean of all values with a cluster-robust t interval.

    se² = G/(G−1) · Σ_g (Σ_{i∈g} (x_i − x̄))² / N²,  x̄ ± t_{0.975, G−1} · se

    N values in G clusters of any sizes. Fewer than two clusters have no interval (NaN); no values
    give NaN. Source: Liang and Zeger, Biometrika 73 (1986), for a regression on a constant.
    """
    sums, sizes = cluster_sums(values, clusters)
    total, count = int(sizes.sum()), len(sizes)
    if total == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, 0, math.nan)
    mean = float(sums.sum() / total)
    if count < 2:
        return Estimate(mean, math.nan, math.nan, total, count, math.nan)
    residuals = sums - mean * sizes
    error = math.sqrt(count / (count - 1) * float(residuals @ residuals)) / total
    half = quantile(0.975, count - 1) * error
    return Estimate(mean, mean - half, mean + half, total, count, error)


def clustered_share(values: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    """Share of right samples, or mean of values in [0, 1], with Wilson's interval at the effective number
    of samples: its ends stay in [0, 1].

    n* = p(1−p) / se²,  with se of `clustered_mean`, at most N if all values are 0 or 1;  z = t_{0.975, G−1}

    With one sample of 0 or 1 per cluster it is `proportion`. If the samples do not vary, n* = G. A
    single cluster gives [0, 1]. Source: Korn and Graubard, Survey Methodology 24 (1998).
    """
    mean = clustered_mean(values, clusters)
    whole = all(value in (0.0, 1.0) for value in values)
    if mean.n == 0 or (whole and mean.clusters == mean.n):
        plain = proportion([value > 0.5 for value in values])
        error = math.sqrt(plain.value * (1 - plain.value) / plain.n) if plain.n else math.nan
        return Estimate(*asdict(plain).values(), clusters=mean.clusters, standard_error=error)
    if mean.clusters < 2:
        return Estimate(mean.value, 0.0, 1.0, mean.n, mean.clusters, math.nan)
    variance = mean.value * (1 - mean.value)
    effective = variance / mean.standard_error**2 if mean.standard_error > 0 else mean.clusters
    effective = min(effective, mean.n) if whole else effective
    low, high = _wilson(mean.value, effective, quantile(0.975, mean.clusters - 1))
    return Estimate(mean.value, low, high, mean.n, mean.clusters, mean.standard_error)


def bootstrap(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of the mean over clusters drawn with replacement, the same for equal seeds.

    Each draw takes G clusters whole and divides their sum by their size. No values give NaN.
    Source: Efron and Tibshirani (1993), chapter 13.
    """
    sums, sizes = cluster_sums(values, clusters)
    count = len(sums)
    if count == 0:
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    at_once = max(1, 4_000_000 // count)
    for start in range(0, resamples, at_once):
        stop = min(start + at_once, resamples)
        drawn = random.integers(count, size=(stop - start, count), dtype=np.int32)
        means[start:stop] = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def cluster_sums(
    values: Sequence[float], clusters: Sequence[Hashable]
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Sum and number of the values of every cluster, float64 [G], in the order of first appearance."""
    number: dict[Hashable, int] = {}
    index = [number.setdefault(cluster, len(number)) for cluster in clusters]
    given = np.asarray(values, dtype=np.float64)
    if len(given) != len(index):
        raise ValueError(f"{len(given)} values but {len(index)} clusters; expected one cluster per value")
    if not index:
        return np.zeros(0), np.zeros(0)
    sums = np.asarray(np.bincount(index, given), dtype=np.float64)
    return sums, np.asarray(np.bincount(index), dtype=np.float64)
