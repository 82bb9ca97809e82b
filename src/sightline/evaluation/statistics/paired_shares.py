"""Two runs on the same problems: differences of shares, exact where few problems differ."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.special import stdtrit

from .intervals import Z_95, cluster_sums
from .paired import detectable, sign_flip

MOST_STEPS = 4_000_000
"""Longest table of sums for an exact p; beyond it signs are drawn."""
MOST_PARTS = 5040
"""Largest common denominator of differences that are taken for fractions: of 1 to 10 samples it is 2520."""

Sums = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class ShareDifference:
    """The mean of paired differences of shares with its 95 % interval."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided and exact: the signs of whole clusters are exchangeable if neither run is better."""
    n: int
    """Pairs."""
    clusters: int
    standard_error: float
    detectable: float
    """The smallest true difference found with 80 % power at this standard error."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def paired_shares(
    differences: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0
) -> ShareDifference:
    """Mean of differences in [−1, 1], one per problem, clustered.

    The interval is Wald's with two problems added, one that only the one run solves and one that only the
    other does. Single samples of independent problems (all differences −1, 0 or 1), Bonett and Price's:

    x̃ = (Σ x_i)/(N+2),  se² = ((Σ x_i² + 2)/(N+2) − x̃²)/(N+2),  x̃ ± 1.96·se, cut to [−1, 1]

    Else cluster-robust, the two added as clusters of their own:  x̃ = (Σ x_i)/(N+2),
    se² = (G+2)/(G+1) · (Σ_g (Σ_{i∈g} (x_i − x̃))² + (1−x̃)² + (1+x̃)²) / (N+2)²,  x̃ ± t_{0.975, G+1}·se.

    p is `exact_flips`: McNemar's exact test for single samples. `value` is the plain mean, `standard_error`
    the cluster-robust one of `clustered_mean`. Fewer than two clusters have neither interval nor p (NaN).
    Source: Bonett and Price, J. Educ. Behav. Stat. 37 (2012), Eq. 4, carried over to clusters.
    """
    sums, sizes = cluster_sums(differences, clusters)
    n, count, nan = len(differences), len(sums), math.nan
    if count < 2:
        return ShareDifference(float(sums.sum()) / n if n else nan, nan, nan, nan, n, count, nan, nan)
    mean = float(sums.sum()) / n
    residuals = sums - mean * sizes
    error = math.sqrt(count / (count - 1) * float(residuals @ residuals)) / n
    single = count == n and set(differences) <= {-1.0, 0.0, 1.0}
    centre, half = _added(sums, sizes, single)
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    p = exact_flips(sums, seed=seed)
    return ShareDifference(mean, low, high, p, n, count, error, detectable(error))


def _added(sums: Sums, sizes: Sums, single: bool) -> tuple[float, float]:
    """Centre and half-width of the interval with two problems added."""
    residuals, centre = added_residuals(sums, sizes)
    if single:
        return centre, Z_95 * math.sqrt(float(residuals @ residuals))
    count = len(residuals)
    return centre, float(stdtrit(count - 1, 0.975)) * math.sqrt(
        count / (count - 1) * float(residuals @ residuals)
    )


def added_residuals(sums: Sums, sizes: Sums) -> tuple[Sums, float]:
    """(Σ_{i∈g} (x_i − x̃)) / (N+2), float64 [G+2], the two added problems last, and x̃ of `paired_shares`."""
    total = float(sizes.sum()) + 2
    centre = float(sums.sum()) / total
    all_sums = np.concatenate([sums, [1.0, -1.0]])
    return (all_sums - centre * np.concatenate([sizes, [1.0, 1.0]])) / total, centre


def exact_flips(sums: Sums, *, seed: int = 0) -> float:
    """Two-sided p of the hypothesis that the sign of every cluster's sum is chance.

    P(|Σ_g s_g·x_g| ≥ |Σ_g x_g|) over independent signs s_g = ±1, from the distribution of the sum, whose
    characteristic function is Π_g cos(ω·x_g). It is exact, to about 1e-15, for sums that are multiples of a
    common fraction: McNemar's exact test if all are −1, 0 or 1. Others: `sign_flip`, with 10,000 seeded
    draws. No cluster that differs gives 1.
    """
    sums = sums[np.abs(sums) > 1e-12]
    if len(sums) == 0:
        return 1.0
    steps = _whole_steps(sums)
    if steps is None:
        return sign_flip(sums.tolist(), range(len(sums)), seed=seed)
    sizes, counts = np.unique(np.abs(steps), return_counts=True)
    most = int(sizes @ counts)
    if most == abs(int(steps.sum())):  # all on one side: 2 / 2^G, which the transform would round
        return 2.0 ** (1 - len(steps))
    length = 2 * most + 1
    angle = 2 * np.pi * np.arange(length) / length
    transform = np.ones(length)
    for size, number in zip(sizes, counts, strict=True):
        transform *= np.cos(angle * size) ** number
    chance = np.fft.ifft(transform).real  # at sum s, modulo length
    reach = abs(int(steps.sum()))
    inside = chance[:reach].sum() + chance[length - reach + 1 :].sum() if reach else 0.0
    beyond = chance[reach : most + 1].sum() + chance[most + 1 : length - reach + 1].sum()
    return float(min(1.0, max(beyond if beyond < 0.5 else 1 - inside, 2.0 ** (1 - len(steps)))))


def _whole_steps(sums: Sums) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """The sums as whole numbers of a common fraction; None if there is none, or too many steps."""
    fractions = [Fraction(value).limit_denominator(MOST_PARTS) for value in np.unique(np.abs(sums)).tolist()]
    parts = math.lcm(*(fraction.denominator for fraction in fractions))
    if parts > MOST_PARTS or parts * float(np.abs(sums).sum()) > MOST_STEPS / 2:
        return None
    steps = np.rint(sums * parts)
    if np.abs(steps / parts - sums).max() > 1e-9:
        return None
    whole = steps.astype(np.int64)
    return whole // np.gcd.reduce(whole)


@dataclass(frozen=True)
class Pairs:
    """The paired differences of one benchmark: one per problem, with the clusters that are shared across."""

    differences: Sequence[float]
    clusters: Sequence[Hashable]


def mean_of_differences(benchmarks: Sequence[Pairs], *, seed: int = 0) -> dict[str, Any]:
    """The mean of the benchmarks' mean differences, each counting once, with problems in several clustered.

    value = Σ_k x̄_k / K;  the interval adds two problems to every benchmark, as `paired_shares`: centre
    Σ_k x̃_k / K, se² = Σ_c (Σ_k √(G'_k/(G'_k − 1))·r_ck)² / K², with r_ck the residual of cluster c in
    benchmark k and G'_k = G_k + 2; t at C − 1 degrees of freedom, C the clusters of all. p flips the signs of
    whole clusters of all benchmarks. Benchmarks without a problem in common: the variances add. A benchmark
    of a single cluster, or none, leaves interval and p undefined (None).
    """
    count = len(benchmarks)
    value = sum(float(np.mean(one.differences)) for one in benchmarks) / count if count else math.nan
    found: dict[str, Any] = {"value": value, "low": None, "high": None, "p": None, "clusters": 0}
    errors: dict[Hashable, float] = {}
    flips: dict[Hashable, float] = {}
    centres = 0.0
    for place, one in enumerate(benchmarks):
        sums, sizes = cluster_sums(one.differences, one.clusters)
        if len(sums) < 2:
            return found
        residuals, centre = added_residuals(sums, sizes)
        residuals = residuals * math.sqrt(len(residuals) / (len(residuals) - 1)) / count
        centres += centre / count
        names = [*dict.fromkeys(one.clusters), ("added", place, 1), ("added", place, -1)]
        for name, residual in zip(names, residuals.tolist(), strict=True):
            errors[name] = errors.get(name, 0.0) + residual
        for name, total in zip(names, (sums / sizes.sum() / count).tolist(), strict=False):
            flips[name] = flips.get(name, 0.0) + total
    half = float(stdtrit(len(flips) - 1, 0.975)) * math.sqrt(sum(r * r for r in errors.values()))
    return {
        "value": value,
        "low": max(-1.0, centres - half),
        "high": min(1.0, centres + half),
        "p": exact_flips(np.array(list(flips.values())), seed=seed),
        "clusters": len(flips),
    }
