"""The best constant non-negative weights of parts of a gradient, for three ways of taking a step.

A step along u gains E[u]·μ₀/√E|u|² of what even weights hope for, μ₀ being the mean gradient of even weights.
With g(w) = Σ_k w_k·g_k, SGD steps along g(w), SGD under a limit on the norm that always binds along
g(w)/|g(w)|, and Adam along g(w) with every coordinate over the root of its own mean square. The gain does not
change with the size of w; weights are returned with mean 1, so that even weights are ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize, nnls

from .moments import ADAM_EPSILON, Matrix


def best_for_sgd(signal: Matrix, second: Matrix) -> Matrix:
    """argmax over w ≥ 0 of w·m/√(wᵀSw), which is w ∝ S⁻¹m where that is positive, [K].

    `signal` m [K] is μ_k·μ₀, `second` S [K, K] is E g_k·g_l. Found as the least squares of ½wᵀSw − m·w over
    w ≥ 0. A part without a gradient gets 0; if no part points along μ₀, all weights are 1.
    """
    size = np.sqrt(np.diag(second))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    values, vectors = np.linalg.eigh(second * np.outer(scale, scale))
    roots = np.sqrt(np.maximum(values, 1e-9 * max(values[-1], 1e-300)))
    found, _ = nnls(roots[:, None] * vectors.T, (vectors.T @ (scale * signal)) / roots)
    return _of_mean_one(scale * found)


def best_for_clipped(signals: Matrix, squares: Matrix) -> Matrix:
    """argmax over w ≥ 0 of Σ_b w·c_b/√(wᵀW_b w), [K].

    `signals` c [B, K] is g_bk·μ₀ with μ₀ from other batches, `squares` W [B, K, K] is g_bk·g_bl.
    """

    def gain(w: Matrix) -> tuple[float, Matrix]:
        products = squares @ w
        lengths = np.sqrt(np.maximum(products @ w, 1e-300))
        along = signals @ w
        slope = (signals / lengths[:, None] - (along / lengths**3)[:, None] * products).mean(0)
        return float((along / lengths).mean()), slope

    return _climb(gain, [best_for_sgd(signals.mean(0), squares.mean(0))], signals.shape[1])


def best_for_adam(signals: Matrix, squares: Matrix) -> Matrix:
    """argmax over w ≥ 0 of Σ_p w·a_p/(√(wᵀV_p w) + 1e-8), [K]: the update is of the summed gradient.

    `signals` a [K, P] is μ_kp·μ_0p without bias, `squares` V [K, K, P] is E g_kp·g_lp, of every coordinate.
    The mean square of Adam's update is the number of its coordinates, whatever w, so it is left out.
    """

    def gain(w: Matrix) -> tuple[float, Matrix]:
        products = np.einsum("klp,l->kp", squares, w)
        roots = np.sqrt(np.maximum(w @ products, 0))
        scale = roots + ADAM_EPSILON
        along = w @ signals
        steep = np.divide(along, scale**2 * roots, out=np.zeros_like(along), where=roots > 0)
        return float((along / scale).sum()), (signals / scale).sum(1) - products @ steep

    ones = np.ones(len(signals))
    scale = 1 / (np.sqrt(np.maximum(squares.sum((0, 1)), 0)) + ADAM_EPSILON)
    fixed = best_for_sgd((signals * scale).sum(1), squares @ scale**2)  # were the scale that of even weights
    return _climb(gain, [ones, fixed], len(signals))


def _climb(gain: Callable[[Matrix], tuple[float, Matrix]], starts: Sequence[Matrix], parts: int) -> Matrix:
    """The best of local searches from these weights and from even ones; never worse than any of them."""
    ones = np.ones(parts)
    size = abs(gain(ones)[0]) or 1.0
    tried = [ones, *starts]
    for start in [ones, *starts]:
        found = minimize(
            lambda w: tuple(-part / size for part in gain(w)),
            start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * parts, options={"maxiter": 60},
        )  # fmt: skip
        tried.append(found.x)
    return _of_mean_one(max(tried, key=lambda w: gain(w)[0] if w.any() else -np.inf))


def _of_mean_one(weights: Matrix) -> Matrix:
    return weights / weights.mean() if weights.any() else np.ones_like(weights)
