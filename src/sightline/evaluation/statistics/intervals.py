"""Estimates with intervals: shares and means whose samples come in clusters.

Samples of one problem, or versions of one problem, are not independent: every interval here treats the
cluster as the unit that was drawn. Which method was chosen, and what it covers: docs/coverage.md, made by
`benchmarks/coverage.py`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import betaincinv, stdtrit

from .student_t import quantile

Z_95 = 1.959963984540054
WHOLE_CLUSTERS = 4
"""Clusters, half of them wholly right and half wholly wrong, that are added when the design effect is
estimated; as many as the observations of Agresti and Coull (1998). Chosen by docs/coverage.md."""
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
    effective_clusters: float = math.nan
    """As many clusters of equal size would say as much, if samples of a cluster were all alike:
    (Σ_g n_g)² / Σ_g n_g², from 1 to `clusters`."""


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


def clustered_share(
    values: Sequence[float], clusters: Sequence[Hashable], weights: Sequence[float] | None = None
) -> Estimate:
    """Share of right samples, or weighted mean of values in [0, 1], with Clopper and Pearson's exact interval
    at the effective number of samples; its ends stay in [0, 1].

    x̄ = Σ w·x / Σ w,  se² = G/(G−1) · Σ_g (Σ_{i∈g} w_i·(x_i − x̄))² / (Σ w)²,  N = (Σ w)² / Σ w²

    D = N·se² / x̄(1−x̄), at least 1 if all values are 0 or 1;  D_max = N / G_eff, the samples of a cluster all
    alike;  D* = (k·D + 4·D_max) / (k + 4), with k clusters that hold the rarer outcome

    n* = N/D* · (t_{0.975, N−1} / t_{0.975, G−1})²,  ends: the 2.5 % quantile of Beta(n*·x̄, n*(1−x̄) + 1) and
    the 97.5 % quantile of Beta(n*·x̄ + 1, n*(1−x̄))

    Equal weights unless given. One sample of 0 or 1 per cluster is Clopper and Pearson's interval itself.
    Samples that do not vary say nothing of their correlation: n* = G_eff. A single cluster gives [0, 1]; no
    values give NaN. Source: Korn and Graubard, Survey Methodology 24 (1998); D* instead of D is ours, since a
    few right answers estimate no design effect: with D, 16 samples of 20 problems at 3 % cover 63 %.
    """
    drawn = _drawn(values, clusters, weights)
    count, n, mean = len(drawn.totals), len(values), drawn.mean
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0, 0, math.nan)
    whole = bool(np.isin(np.asarray(values, dtype=np.float64), (0.0, 1.0)).all())
    if count < 2:
        return Estimate(mean, 0.0, 1.0, n, count, math.nan, drawn.effective_clusters)
    if whole and count == n and drawn.even:
        low, high = exact_interval(round(mean * n), n)
        return Estimate(mean, low, high, n, count, math.sqrt(mean * (1 - mean) / n), float(n))
    low, high = exact_interval(*_effective(drawn, whole))
    return Estimate(mean, low, high, n, count, drawn.standard_error, drawn.effective_clusters)


def exact_interval(right: float, n: float) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of `right` of `n`, for numbers that need not be whole.

    The 2.5 % quantile of Beta(x, n−x+1) and the 97.5 % quantile of Beta(x+1, n−x); 0 and 1 at the edges.
    Source: Clopper and Pearson, Biometrika 26 (1934).
    """
    wrong = n - right
    low = 0.0 if right <= 0 else float(betaincinv(right, wrong + 1, 0.025))
    high = 1.0 if wrong <= 0 else float(betaincinv(right + 1, wrong, 0.975))
    return low, high


@dataclass(frozen=True)
class _Drawn:
    """Weighted values by cluster: what an interval needs of them."""

    mean: float
    totals: np.ndarray[Any, np.dtype[np.float64]]
    """Σ w of every cluster, float64 [G]."""
    standard_error: float
    samples: float
    """N, as many of equal weight."""
    even: bool
    rarer: int
    """Clusters that hold the rarer outcome."""

    @property
    def effective_clusters(self) -> float:
        return float(self.totals.sum() ** 2 / (self.totals @ self.totals))


def _drawn(values: Sequence[float], clusters: Sequence[Hashable], weights: Sequence[float] | None) -> _Drawn:
    given = np.asarray(values, dtype=np.float64)
    weight = np.ones(len(given)) if weights is None else np.asarray(weights, dtype=np.float64)
    index = _numbered(values, clusters)
    sums, totals = (
        np.asarray(np.bincount(index, one), dtype=np.float64) if len(index) else np.zeros(0)
        for one in (weight * given, weight)
    )
    total, count = float(totals.sum()), len(totals)
    mean = float(sums.sum()) / total if count else math.nan
    residuals = sums - mean * totals
    factor = count / (count - 1) if count > 1 else math.nan
    rounding = 1e-9 * totals
    return _Drawn(
        min(1.0, max(0.0, mean)),
        totals,
        math.sqrt(factor * float(residuals @ residuals)) / total if count else math.nan,
        total**2 / float(weight @ weight) if count else 0.0,
        bool(np.ptp(weight) == 0) if count else True,
        int(min((sums > rounding).sum(), (sums < totals - rounding).sum())),
    )


def _effective(drawn: _Drawn, whole: bool) -> tuple[float, float]:
    """Right samples and samples, n*·x̄ and n*, of `clustered_share`."""
    count, variance = len(drawn.totals), drawn.mean * (1 - drawn.mean)
    most = drawn.samples / drawn.effective_clusters
    if not (variance > 0 and drawn.standard_error > 1e-12):
        return drawn.mean * drawn.effective_clusters, drawn.effective_clusters
    estimated = drawn.samples * drawn.standard_error**2 / variance
    design = max(1.0, estimated) if whole else estimated
    design = (drawn.rarer * design + WHOLE_CLUSTERS * most) / (drawn.rarer + WHOLE_CLUSTERS)
    freedom = max(1, round(drawn.samples) - 1)
    n = drawn.samples / design * float(stdtrit(freedom, 0.975) / stdtrit(count - 1, 0.975)) ** 2
    return drawn.mean * n, n


def bootstrap(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of the mean over clusters drawn with replacement, the same for equal seeds.

    Each draw takes G clusters whole and divides their sum by their size. No values give NaN. For shares
    near 0 or 1 it covers far less than it says, down to 35 %: `clustered_share` is the interval of those.
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
    index = _numbered(values, clusters)
    if not len(index):
        return np.zeros(0), np.zeros(0)
    sums = np.asarray(np.bincount(index, np.asarray(values, dtype=np.float64)), dtype=np.float64)
    return sums, np.asarray(np.bincount(index), dtype=np.float64)


def _numbered(values: Sequence[float], clusters: Sequence[Hashable]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The number of every value's cluster, int64 [N], in the order of first appearance."""
    number: dict[Hashable, int] = {}
    index = [number.setdefault(cluster, len(number)) for cluster in clusters]
    if len(values) != len(index):
        raise ValueError(f"{len(values)} values but {len(index)} clusters; expected one cluster per value")
    return np.asarray(index, dtype=np.int64)
