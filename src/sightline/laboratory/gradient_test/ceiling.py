"""What constant weights of a gradient's parts could gain at most: fitted on one half, told of the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .best_weights import best_for_adam, best_for_clipped, best_for_sgd
from .moments import ADAM_EPSILON, Matrix, Moments, Products, jackknifed, moments

SGD, CLIPPED, ADAM = OPTIMIZERS = ("SGD", "clipped SGD", "Adam")
SIZES = (1, 8)
"""Batches taken together as one, for the ceiling at larger batch sizes."""
FEWEST = 8
"""Batches of which halves can be made."""
FITTED_ON = 65_536
"""Coordinates that Adam's weights are fitted on, evenly spaced; their gain is that of all coordinates."""


@dataclass(frozen=True)
class PartProducts:
    """What the gain of fitted weights needs, for parts whose gradients sum to that of even weights.

    Batch b, of half b mod 2, is asked about weights that were fitted on the other half.
    """

    weights: Matrix
    """[3, 2, K]: by optimizer, the weights fitted on the other half than 0 and than 1; mean 1."""
    kept: Matrix
    """[3, 2, B, 4]: by optimizer, for even weights and for the fitted ones, with u_b the step's direction:
    u_b·g_b0, u_b·Σ_c g_c0, Σ_c u_c·g_b0 over the batches of b's half, and |u_b|²."""


class Grouped:
    """Batches of gradients [B, K, P], `size` of them averaged into one; what is left over counts nowhere."""

    def __init__(self, gradients: Any, size: int):
        self.gradients, self.size = gradients, size
        self.count = len(gradients) // size

    def __iter__(self) -> Iterator[Matrix]:
        for number in range(self.count):
            part = self.gradients[number * self.size : (number + 1) * self.size]
            yield part.mean(0) if self.size > 1 else np.asarray(part[0])


def part_products(gradients: Any, size: int = 1) -> PartProducts | None:
    """Weights of K parts fitted on each half of the batches, and the products that tell their gain.

    Gradients [B, K, P], which may lie on disk: four passes, with one batch and a few rows [K, P] in memory.
    None with fewer than eight batches of this size.
    """
    batches = Grouped(gradients, size)
    if batches.count < FEWEST:
        return None
    parts, length = gradients.shape[1:]
    step = max(1, length // FITTED_ON)
    sums = np.zeros((2, parts, length), np.float32)
    squares = np.zeros((2, parts, parts, len(range(0, length, step))), np.float32)
    for b, g in enumerate(batches):
        sums[b % 2] += g
        few = g[:, ::step]
        squares[b % 2] += few[:, None] * few[None]
    within, between = np.zeros((2, batches.count, parts, parts))
    for b, g in enumerate(batches):
        within[b], between[b] = g @ g.T, g @ sums[b % 2].T
    fitted = [_fit(within[h::2], between[h::2], sums[h][:, ::step], squares[h]) for h in (0, 1)]
    weights = np.stack([fitted[1], fitted[0]], axis=1)  # of half 0 those that half 1 gave
    return PartProducts(weights, _kept(batches, sums, within, weights))


def _fit(within: Matrix, between: Matrix, sums: Matrix, squares: Matrix) -> list[Matrix]:
    """The best weights of one half for every optimizer; μ₀ of a batch is from the others."""
    n = len(within)
    signals = (between - within).sum(2) / (n - 1)
    coordinates = (sums * sums.sum(0) - squares.sum(1)) / (n * (n - 1))
    return [
        best_for_sgd(signals.mean(0), within.mean(0)),
        best_for_clipped(signals, within),
        best_for_adam(coordinates, squares / n),
    ]


def _kept(batches: Grouped, sums: Any, within: Matrix, weights: Matrix) -> Matrix:
    """`PartProducts.kept`: two more passes, one for the steps' sizes and sums, one for the products."""
    count, (_, parts, length) = batches.count, sums.shape
    tried = np.concatenate([np.ones((3, 1, 2, parts)), weights[:, None]], axis=1)  # [3, even or fitted, 2, K]
    lengths = np.sqrt(np.maximum(np.einsum("vhk,bkl,vhl->vhb", tried[1], within, tried[1]), 1e-300))
    clipped = np.zeros((2, 2, length), np.float32)
    mean_squares = np.zeros((2, 2, length), np.float32)
    for b, g in enumerate(batches):
        clipped[:, b % 2] += (tried[1, :, b % 2] / lengths[:, b % 2, b, None]).astype(np.float32) @ g
        for half in (0, 1):  # a scale is of one weighting over all batches
            mean_squares[:, half] += np.square(tried[2, :, half].astype(np.float32) @ g) / count
    scale = 1 / (np.sqrt(mean_squares) + ADAM_EPSILON)
    even = sums.sum(1)
    total = [np.einsum("vhk,hkp->vhp", tried[0].astype(np.float32), sums), clipped,
             np.einsum("vhk,hkp->vhp", tried[2].astype(np.float32), sums) * scale]  # fmt: skip
    kept = np.zeros((3, 2, count, 4))
    for b, g in enumerate(batches):
        half, own = b % 2, g.sum(0)
        for place in range(3):
            u = tried[place, :, half].astype(np.float32) @ g
            u = u / lengths[:, half, b, None] if place == 1 else u * scale[:, half] if place == 2 else u
            kept[place, :, b] = np.stack(
                [u @ own, u @ even[half], total[place][:, half] @ own, np.square(u).sum(1)], axis=1
            )
    return kept


def ceiling(found: PartProducts) -> dict[str, tuple[float, float]]:
    """Optimizer -> gain of the fitted weights over even ones, with its jackknife standard error over batches.

    Σ_h E_h[u]·μ₀/√E_h|u|² over the same of even weights, h the halves that the weights were not fitted on,
    with products of different batches alone. 1 if no weights are better, below 1 if noise was fitted. The
    error is that of the gain at these weights; how much other batches would change them is not in it.
    """
    values = {}
    for name, kept in zip(OPTIMIZERS, found.kept, strict=True):
        left = [_ratio(kept, without) for without in range(kept.shape[1])]
        spread = np.square(np.array(left) - np.mean(left)).sum() * (len(left) - 1) / len(left)
        values[name] = _ratio(kept, None), math.sqrt(spread)
    return values


def _ratio(kept: Matrix, without: int | None) -> float:
    """The gain, fitted over even, of all batches but one."""
    gains = np.zeros(2)
    for half in (0, 1):
        own, row, column, square = np.moveaxis(kept[:, half::2], -1, 0)
        n, all_of, alone, squares = own.shape[1], row.sum(1), own.sum(1), square.sum(1)
        if without is not None and without % 2 == half:
            b, n = without // 2, n - 1
            all_of, alone = all_of - row[:, b] - column[:, b] + own[:, b], alone - own[:, b]
            squares = squares - square[:, b]
        gains += (all_of - alone) / (n * (n - 1)) / np.sqrt(np.maximum(squares / n, 1e-300))
    return float(gains[1] / gains[0]) if gains[0] > 0 else math.nan


def left_out_ceiling(found: Products, parts: slice, size: float = 1.0) -> tuple[float, float]:
    """The ceiling for SGD alone, from products that were kept without halves: each batch is left out once.

    `parts` are the weightings that sum to weighting 0; `size` is a batch over those that were measured:
    S = μμᵀ + Cov/size. The gain of a left-out batch is along the mean of the others. The error is the
    jackknife error of the gain of weights told of their own batches.
    """
    count = found.batches

    def fit(one: Moments) -> tuple[Matrix, Matrix]:
        second = one.signal[parts, parts] + one.noise[parts, parts] / size
        return best_for_sgd(one.signal[parts, 0], second), second

    def fitted(one: Moments) -> Matrix:
        w, second = fit(one)
        ours = w @ one.signal[parts, 0] / math.sqrt(w @ second @ w)
        return np.array([ours / (one.signal[0, 0] / math.sqrt(second.sum()))])

    gains = np.zeros(2)
    for b in range(count):
        w, second = fit(moments(found.without(b), count - 1))
        along = (found.total[b] - found.within[b])[:, 0] / (count - 1)
        gains += w @ along[parts] / math.sqrt(w @ second @ w), along[0] / math.sqrt(second.sum())
    return float(gains[0] / gains[1]), float(jackknifed(found, fitted)[1][0])
