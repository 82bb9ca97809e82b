"""Gates that move weight between the tokens of a rollout: scores ≥ 0 `[B, T]` to weights `[B, T]`."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .. import masked
from ..masked import EPSILON
from .tokens import share_of_count


def importance(
    scores: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"], *, min_range: float
) -> Float[Tensor, "B T"]:
    """I, the min-max of log(1 + S) within each rollout, in [0, 1] (PGPO Eq. 4, 5)."""
    return masked.row_min_max(masked.clean(scores, mask).log1p(), mask, min_range)


def _gate(important: Tensor, threshold: Tensor | float, boost: float) -> Tensor:
    damped = important / (threshold + EPSILON)
    boosted = 1 + boost * (important - threshold) / (1 - threshold + EPSILON)
    return torch.where(important < threshold, damped, boosted)


def importance_range(scores: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """The range of log(1 + S) in each rollout: what `min_range` is held against."""
    return masked.row_range(masked.clean(scores, mask).log1p(), mask)


def _ones_where_constant(weights: Tensor, scores: Tensor, mask: Tensor, min_range: float) -> Tensor:
    constant = importance_range(scores, mask) <= min_range
    return masked.clean(weights.masked_fill(constant[:, None], 1.0), mask)


def mass_conserving_gate(
    scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    threshold: float,
    boost: float,
    min_range: float,
) -> Float[Tensor, "B T"]:
    """ω̃ = ω·T_i/Σ_t ω with ω = I/(τ+ε) below τ and 1 + β·(I−τ)/(1−τ+ε) from τ on (PGPO Eq. 6, 7).

    I is `importance`. Sums to T_i in every rollout. The token of smallest score gets 0 if τ > 0. 1 where
    the range of log(1+S) is up to `min_range`.

    Args:
        threshold: τ, the importance from which a token gains weight; in [0, 1].
        boost: β, how much the most important token gains; in [0, 1e+06].
    """
    raw = masked.clean(_gate(importance(scores, mask, min_range=min_range), threshold, boost), mask)
    total = raw.sum(-1, keepdim=True)
    conserved = raw * masked.lengths(mask)[:, None] / torch.where(total > 0, total, 1.0)
    return _ones_where_constant(conserved, scores, mask, min_range)


def gate_statistics(
    scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    threshold: float,
    boost: float,
    min_range: float,
) -> dict[str, float]:
    """`share_at_threshold`, the share of tokens with I ≥ τ, and T_i/Σ_t ω as `mass_factor_mean`, `_max`.

    Over the rollouts that the gate changes; empty if there are none. A large factor means that few
    tokens carry the whole advantage.
    """
    changed = mask.bool() & (importance_range(scores, mask) > min_range)[:, None]
    if not changed.any():
        return {}
    important = importance(scores, mask, min_range=min_range)
    raw = masked.clean(_gate(important, threshold, boost), changed)
    factor = (masked.lengths(changed) / raw.sum(-1))[changed.any(-1)]
    return {
        "share_at_threshold": float(masked.mean((important >= threshold).float(), changed)),
        "mass_factor_mean": float(factor.mean()),
        "mass_factor_max": float(factor.max()),
    }


def quantile_gate(
    scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    threshold: float,
    boost: float,
    floor: float,
    min_range: float,
) -> Float[Tensor, "B T"]:
    """The same gate at a quantile of each rollout, with damped weights floored and no normalisation.

    τ_i is the value of I at sorted index min(floor(τ·T_i), T_i − 1), rising; weights below it are at
    least `floor`. PGPO's development snapshot. 1 where the range is up to `min_range`.

    Args:
        threshold: τ, the share of a rollout's tokens below the bar; in [0, 1].
        boost: β, how much the most important token gains; in [0, 1e+06].
        floor: the smallest weight of a damped token; in [0, 1e+06].
    """
    important = importance(scores, mask, min_range=min_range)
    rising = important.masked_fill(~mask.bool(), float("inf")).sort(dim=-1).values
    count = masked.lengths(mask)
    index = torch.minimum(share_of_count(threshold, count, math.floor), count.long() - 1).clamp(min=0)
    bar = rising.gather(-1, index[:, None]) if mask.shape[-1] else important.sum(-1, keepdim=True)
    bar = bar.masked_fill(bar.isinf(), 0.0)
    raw = _gate(important, bar, boost)
    raw = torch.where(important < bar, raw.clamp(min=floor), raw)
    return _ones_where_constant(raw, scores, mask, min_range)
