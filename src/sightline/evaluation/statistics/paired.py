"""Paired differences between two runs over the same problems, and what a run could detect."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .intervals import Z_95, cluster_sums, clustered_mean
from .student_t import two_sided

Z_POWER_80 = 0.8416212335729143
FLIPS = 10_000


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences with its 95 % interval."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided, of the t statistic the interval is made of: below 0.05 where the interval leaves out 0."""
    p_flip: float
    """The same by flipping the signs of whole clusters at random, which needs no large sample."""
    n: int
    """Pairs."""
    clusters: int
    standard_error: float
    detectable: float
    """The smallest true difference found with 80 % power at this standard error."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{100 * self.value:+.1f} points [{100 * self.low:+.1f}, {100 * self.high:+.1f}], p {_p(self.p)}"
        )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def paired(differences: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0) -> Difference:
    """Mean of differences, one per problem (or per sample), clustered by problem.

    The interval is `clustered_mean`'s; p is its two-sided t test with G−1 degrees of freedom. Differences
    that are all 0 give p = 1. Fewer than two clusters have neither interval nor p (NaN).
    """
    mean = clustered_mean(differences, clusters)
    if mean.clusters < 2:
        nan = math.nan
        return Difference(mean.value, nan, nan, nan, nan, mean.n, mean.clusters, nan, nan)
    if mean.standard_error > 0:
        p = two_sided(mean.value / mean.standard_error, mean.clusters - 1)
    else:
        p = 1.0 if mean.value == 0 else 0.0
    return Difference(
        mean.value,
        mean.low,
        mean.high,
        p,
        sign_flip(differences, clusters, seed=seed),
        mean.n,
        mean.clusters,
        mean.standard_error,
        detectable(mean.standard_error),
    )


def sign_flip(
    differences: Sequence[float], clusters: Sequence[Hashable], *, flips: int = FLIPS, seed: int = 0
) -> float:
    """Two-sided p of the hypothesis that the sign of a cluster's difference is chance.

    The share of random sign patterns whose |sum| reaches the observed one, the observed one counted:
    (1 + hits) / (1 + flips). With up to 13 clusters that differ, all patterns are taken; clusters that all
    differ by the same amount, as those of single samples do, give McNemar's exact test.
    """
    sums, _ = cluster_sums(differences, clusters)
    sums = sums[sums != 0]
    if len(sums) == 0:
        return 1.0
    if np.ptp(np.abs(sums)) == 0:
        return _binomial(int(max((sums > 0).sum(), (sums < 0).sum())), len(sums))
    observed = abs(float(sums.sum())) * (1 - 1e-12)
    if 2 ** len(sums) <= flips:
        patterns = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        return float(np.mean(np.abs((2 * patterns - 1) @ sums) >= observed))
    random, hits = np.random.default_rng(seed), 0
    at_once = max(1, 8_000_000 // len(sums))
    for start in range(0, flips, at_once):
        count = min(at_once, flips - start)
        signs = random.integers(2, size=(count, len(sums)), dtype=np.int8) * 2 - 1
        hits += int(np.sum(np.abs(signs @ sums) >= observed))
    return (1 + hits) / (1 + flips)


def _binomial(larger: int, n: int) -> float:
    """Two-sided p of `larger` or more of n fair coins on one side."""
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(larger, n + 1)) / 2**n)


def detectable(standard_error: float) -> float:
    """The smallest true difference that a test at 5 % finds with 80 % power: (z_0.975 + z_0.8) · se.

    NaN if the samples do not vary: then they do not say how much others would.
    """
    if not standard_error > 0:
        return math.nan
    return (Z_95 + Z_POWER_80) * standard_error


def detectable_between(standard_error: float) -> float:
    """The same between this run and another of its size over other problems: `detectable(√2 · se)`.

    A comparison over the same problems usually detects less; `sightline compare` says how much.
    """
    return detectable(math.sqrt(2) * standard_error)
