"""Mean and noise of gradients that were measured on the same batches, from their inner products alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

ADAM_EPSILON = 1e-8

Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Products:
    """What every statistic here needs of the gradients g_{b,i} of M weightings on B batches."""

    within: Matrix
    """[B, M, M], g_{b,i} · g_{b,j}."""
    total: Matrix
    """[B, M, M], g_{b,i} · Σ_c g_{c,j}."""

    @property
    def batches(self) -> int:
        """B."""
        return len(self.within)

    def without(self, batch: int) -> Products:
        """The sums that the other batches give, as one entry each (`moments` reads sums alone)."""
        rest = self.total.sum(0) - self.total[batch] - self.total[batch].T + self.within[batch]
        return Products((self.within.sum(0) - self.within[batch])[None], rest[None])


def products(gradients: Any) -> Products:
    """The inner products of gradients `[B, M, P]`, which may lie on disk: two passes, one batch in memory.

    There are 2M weightings in it: the gradients as they are, then each of them as Adam would use it, every
    coordinate over the root of its own mean square over the batches, g / (√(Σ_b g_b²/B) + 1e-8).
    """
    total = np.zeros(gradients.shape[1:], dtype=np.float64)
    squares = np.zeros_like(total)
    for batch in gradients:
        total += batch
        squares += np.square(batch, dtype=np.float64)
    scale = 1 / (np.sqrt(squares / len(gradients)) + ADAM_EPSILON)
    total = np.concatenate([total, total * scale])
    within, crossed = [], []
    for batch in gradients:
        one = np.concatenate([batch, batch * scale])
        within.append(one @ one.T)
        crossed.append(one @ total.T)
    return Products(np.array(within), np.array(crossed))


@dataclass(frozen=True)
class Moments:
    """Moments of M gradients without the bias that noise gives to squared means."""

    signal: Matrix
    """[M, M], μ_i · μ_j; the diagonal, |μ_i|², may come out below 0 where noise drowns it."""
    noise: Matrix
    """[M, M], tr Cov(g_i, g_j)."""

    def first(self, count: int) -> Moments:
        """The same of the first `count` gradients."""
        return Moments(self.signal[:count, :count], self.noise[:count, :count])


def moments(found: Products, count: int) -> Moments:
    """Moments over `count` batches, without the bias that noise gives to squared means.

    μ_i·μ_j = (Σ_b g_bi · Σ_b g_bj − Σ_b g_bi·g_bj) / (B(B−1)),   tr Cov = (1/B) Σ_b g_bi·g_bj − μ_i·μ_j

    Both are unbiased for independent batches. B >= 2.
    """
    own, everything = found.within.sum(0), found.total.sum(0)
    signal = (everything - own) / (count * (count - 1))
    return Moments(signal, own / count - signal)


Statistic = Callable[[Moments], Matrix]
"""Moments to one number per weighting, [M]; NaN where it is not defined."""


def noise_to_signal(found: Moments) -> Matrix:
    """tr Cov(g_i) / |μ_i|²: how many batches it takes for the mean to stand out. NaN if |μ_i|² <= 0."""
    return np.diag(found.noise) / _positive(np.diag(found.signal))


def log_noise_ratio(found: Moments) -> Matrix:
    """ln of `noise_to_signal` over that of weighting 0: below 0 is cleaner."""
    return np.log(_positive(noise_to_signal(found))) - np.log(_positive(noise_to_signal(found)[:1]))


def relative_noise(found: Moments) -> Matrix:
    """tr Cov(g_i) / tr Cov(g_0); changes with the size of the weights."""
    return np.diag(found.noise) / found.noise[0, 0]


def alignment(found: Moments) -> Matrix:
    """cos(μ_i, μ_0). As an estimate without bias it may lie beyond 1 by chance. NaN if |μ_i|² <= 0."""
    return found.signal[:, 0] / np.sqrt(_positive(np.diag(found.signal)) * _positive(found.signal[:1, 0]))


def progress(found: Moments) -> Matrix:
    """What an update of a given size gains along μ_0, over what weighting 0 gains.

    [μ_i·μ_0 / √(|μ_i|² + tr Cov g_i)] / [|μ_0|² / √(|μ_0|² + tr Cov g_0)]

    The first-order gain of one step whose mean squared length is fixed, as under a tuned rate or an optimizer
    that normalises: less noise helps, another direction than μ_0 hurts. 1 for weighting 0.
    """
    size = np.sqrt(np.diag(found.signal) + np.diag(found.noise))
    gain = found.signal[:, 0] / size
    return gain / _positive(gain[:1])


def adam_progress(found: Moments) -> Matrix:
    """`progress` along μ_0 of weightings as Adam uses them, over what it makes of weighting 0.

    Reads all 2M weightings of `products`.
    """
    count = len(found.signal) // 2
    size = np.sqrt(np.diag(found.signal) + np.diag(found.noise))[count:]
    gain = found.signal[count:, 0] / size
    return gain / _positive(gain[:1])


def clipped_progress(found: Products, weightings: int) -> tuple[Matrix, Matrix]:
    """What an update gains whose limit on the norm always binds, over what it makes of weighting 0.

    E[g_i/|g_i|]·μ_0 / E[g_0/|g_0|]·μ_0, with its standard error, [M] each, of the first M `weightings`: a
    batch counts by its direction alone. μ_0 is that of the other batches. The jackknife takes a left-out
    batch's part in μ_0 at the mean of 1/|g_i|.
    """
    few, count = slice(weightings), found.batches
    size = np.sqrt(np.einsum("bii->bi", found.within)[:, few])
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    own, row = scale * found.within[:, few, 0], scale * found.total[:, few, 0]
    column = scale.mean(0) * found.total[:, 0, few]
    every = (row - own).sum(0) / (count * (count - 1))
    left = ((row - own).sum(0) - (row + column - 2 * own)) / ((count - 1) * (count - 2))
    value, ratios = every / _positive(every[:1]), left / _positive(left[:, :1])
    return value, np.sqrt((count - 1) / count * np.square(ratios - ratios.mean(0)).sum(0))


def jackknifed(found: Products, statistic: Statistic) -> tuple[Matrix, Matrix]:
    """A statistic with its jackknife standard error over batches, [M] each.

    se² = (B−1)/B · Σ_b (θ_{−b} − θ̄)². All weightings lose the same batch, so the error of a ratio knows that
    they were measured on the same rollouts. NaN where a leave-one-out value is not defined. Source: Efron and
    Tibshirani (1993), chapter 11.
    """
    count = found.batches
    value = statistic(moments(found, count))
    left = np.stack([statistic(moments(found.without(b), count - 1)) for b in range(count)])
    error = np.sqrt((count - 1) / count * np.square(left - left.mean(0)).sum(0))
    return value, error


def _positive(values: Matrix) -> Matrix:
    return np.where(values > 0, values, math.nan)
