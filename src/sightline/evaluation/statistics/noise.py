"""Two sources of noise apart: which problems were drawn, and which answers; and what more of each buys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .intervals import Z_95

Z_POWER_80 = 0.8416212335729143


@dataclass(frozen=True)
class SamplingNoise:
    """A mean's variance by its source."""

    standard_error: float
    """Of both, cluster-robust."""
    questions: float
    """Standard error that is left with endlessly many samples of these problems."""
    sampling: float
    """Standard error from sampling alone, over the same problems again."""
    another_sample: float
    """Standard error with one more sample of every problem."""
    problems: int
    samples: float
    """Of a problem, harmonic mean: the number the variance goes by."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @property
    def question_variance(self) -> float:
        """ω², per problem: n problems leave ω²/n; what clusters add is in it."""
        return self.questions**2 * self.problems

    @property
    def sampling_variance(self) -> float:
        """σ², per sample: n problems of K samples leave σ²/(nK)."""
        return self.sampling**2 * self.problems * self.samples


def two_sources(right: Sequence[tuple[int, int]], standard_error: float) -> SamplingNoise | None:
    """The variance of a mean of problem means, by the law of total variance.

    se² = V_q + V_s,  V_s = Σ_i s_i²/K_i / n²,  s_i² = K_i/(K_i−1) · p_i(1−p_i);
    with another sample V_q + V_s·K/(K+1)

    `right` holds (right samples, samples K_i) of every problem, `standard_error` the cluster-robust one of
    their mean. Problems with one sample count with the mean s² of the others; V_q is at least 0. None if no
    problem has two samples, or the standard error is not defined: then the two cannot be told apart.
    Source: Miller 2024, arXiv 2411.00640, section 3.
    """
    spreads = [c * (k - c) / (k * (k - 1)) for c, k in right if k > 1]
    if not spreads or not math.isfinite(standard_error):
        return None
    mean = sum(spreads) / len(spreads)
    inside = sum((c * (k - c) / (k * (k - 1)) if k > 1 else mean) / k for c, k in right) / len(right) ** 2
    samples = len(right) / sum(1 / k for _, k in right)
    questions = max(0.0, standard_error**2 - inside)
    another = questions + inside * samples / (samples + 1)
    return SamplingNoise(
        math.sqrt(questions + inside) if questions else max(standard_error, math.sqrt(inside)),
        math.sqrt(questions),
        math.sqrt(inside),
        math.sqrt(another),
        len(right),
        samples,
    )


@dataclass(frozen=True)
class PairedNoise:
    """What the difference between two runs on the same problems varies by."""

    questions: float
    """ω², the variance of true differences over problems."""
    sampling: float
    """σ_A² + σ_B², of single samples."""

    def problems(self, difference: float, samples: int) -> int:
        """The fewest problems that find a true `difference` (a share, not 0) with 80 % power at 5 %.

        n = (z_0.975 + z_0.8)² · (ω² + (σ_A² + σ_B²)/K) / d², rounded up, at least 2.
        Source: Miller 2024, section 5.
        """
        n = ((Z_95 + Z_POWER_80) / difference) ** 2 * (self.questions + self.sampling / samples)
        return max(2, math.ceil(n - 1e-9))

    def detectable(self, problems: int, samples: int) -> float:
        """The smallest true difference, as a share, found with 80 % power."""
        return (Z_95 + Z_POWER_80) * math.sqrt((self.questions + self.sampling / samples) / problems)


def of_two_runs(first: SamplingNoise, second: SamplingNoise, difference_error: float) -> PairedNoise:
    """From two measured runs and the standard error of their paired difference over the same problems."""
    total = difference_error**2 * first.problems
    inside = first.sampling_variance / first.samples + second.sampling_variance / second.samples
    return PairedNoise(max(0.0, total - inside), first.sampling_variance + second.sampling_variance)


def of_one_run(noise: SamplingNoise, correlation: float) -> PairedNoise:
    """From one measured run, for another like it whose problem means correlate with its by `correlation`."""
    return PairedNoise(2 * noise.question_variance * (1 - correlation), 2 * noise.sampling_variance)


def assumed(accuracy: float, sampling: float, correlation: float) -> PairedNoise:
    """From no run: single samples vary by p(1−p), of which the share `sampling` is from sampling."""
    variance = accuracy * (1 - accuracy)
    return PairedNoise(2 * variance * (1 - sampling) * (1 - correlation), 2 * variance * sampling)


def single_samples(problems: int, standard_error: float) -> SamplingNoise:
    """A run whose sources cannot be told apart: all of it counts as the problems'."""
    return SamplingNoise(standard_error, standard_error, 0.0, standard_error, problems, 1.0)
