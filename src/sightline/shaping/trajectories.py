"""One weight per rollout, spread over its tokens `[B, T]`: 0 at padding and for rows without any token."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from .. import masked


def trajectory_weights(
    scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    scale_min: float,
    scale_max: float | None,
    min_range: float,
    minibatch: int | None = None,
    microbatch: int | None = None,
) -> Float[Tensor, "B T"]:
    """α_i = β_min + (β_max − β_min)·minmax_batch(mean_t S)_i, the batch being all rows (VPPO Eq. 5).

    `scale_max` None is the dynamic bound β_max = β_min + (1 − β_min)/mean(minmax), so that mean_i α
    is 1. With `minibatch` and `microbatch` (row counts) the min and max are taken within consecutive
    blocks of the former and the mean that sets β_max within the latter, as VPPO's code does; a
    micro-batch whose min-max values are all 0 then gets β_min, and its mean is not 1.
    1 where the range of the mini-batch is up to `min_range` or it has fewer than two rollouts.

    Args:
        scale_min: β_min, the weight of the rollout of smallest mean; in [0, 1e+06].
        scale_max: β_max, that of the largest; in [0, 1e+06] or None, the dynamic bound.
        minibatch: rows of a block; in [1, 1e+09] or None, all rows.
        microbatch: rows of a block's part; in [1, 1e+09] or None, the whole block.
    """
    counted = mask.bool().any(-1)
    block, inner = _blocks(mask, minibatch, microbatch)
    means = masked.row_mean(scores, mask)
    height = masked.group_min_max(means, block, counted, min_range)
    if scale_max is None:
        reach = (1 - scale_min) / masked.group_mean(height, inner, counted).clamp(min=1e-12)
    else:
        reach = torch.full_like(height, scale_max - scale_min)
    constant = trajectory_range(scores, mask, minibatch=minibatch) <= min_range
    scale = (scale_min + reach * height).masked_fill(constant, 1.0)
    return masked.clean(scale[:, None].expand(mask.shape), mask)


def trajectory_range(
    scores: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"], *, minibatch: int | None = None
) -> Float[Tensor, " B"]:
    """The range over its mini-batch of the rollout means, at every row: what `min_range` is held against."""
    counted = mask.bool().any(-1)
    block, _ = _blocks(mask, minibatch, None)
    means = masked.row_mean(scores, mask)
    return masked.group_max(means, block, counted) - masked.group_min(means, block, counted)


def trajectory_statistics(
    scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    scale_min: float,
    scale_max: float | None,
    min_range: float,
    minibatch: int | None = None,
    microbatch: int | None = None,
) -> dict[str, float]:
    """The smallest and largest α of the batch, as `scale_min` and `scale_max`; empty without tokens."""
    counted = mask.bool().any(-1)
    if not counted.any():
        return {}
    scale = trajectory_weights(
        scores,
        mask,
        scale_min=scale_min,
        scale_max=scale_max,
        min_range=min_range,
        minibatch=minibatch,
        microbatch=microbatch,
    ).amax(-1)[counted]
    return {"scale_min": float(scale.min()), "scale_max": float(scale.max())}


def _blocks(
    mask: Tensor, minibatch: int | None, microbatch: int | None
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """The mini-batch and the micro-batch of each row, consecutive rows together; None: one block."""
    rows = len(mask)
    row = torch.arange(rows, device=mask.device)
    block = row // (minibatch or max(rows, 1))
    place = row % (minibatch or max(rows, 1))
    return block, block * max(rows, 1) + place // (microbatch or max(rows, 1))


def centered_rollout_weights(
    scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    group_ids: Int[Tensor, " B"],
    *,
    min_range: float,
    scale_rows: bool = False,
    low: float = 0.0,
    high: float = 2.0,
) -> Float[Tensor, "B T"]:
    """1 + φ with φ = ŝ − mean_G ŝ, ŝ the min-max over the group of s_i = Σ_t w (VGPO Eq. 9 to 11).

    In (0, 2), mean 1 over the rollouts of a prompt; 1 for a group of one and for a group whose sums
    have a range up to `min_range`. A sum, not a mean: longer responses get larger s.
    Clamped, as VGPO's released code does with [0.9, 2], the mean is not 1.

    Args:
        scale_rows: True sums the min-maxed row instead, as that code does.
        low: the smallest weight; in [0, 1e+06].
        high: the largest weight; in [0, 1e+06].
    """
    counted = mask.bool().any(-1)
    scaled = masked.row_min_max(scores, mask, min_range) if scale_rows else scores
    height = masked.group_min_max(masked.row_sum(scaled, mask), group_ids, counted, min_range)
    centred = (1 + height - masked.group_mean(height, group_ids, counted)).clamp(low, high)
    return masked.clean(centred[:, None].expand(mask.shape), mask)


def group_range(
    scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    group_ids: Int[Tensor, " B"],
    *,
    min_range: float,
    scale_rows: bool = False,
) -> Float[Tensor, " B"]:
    """The range over its group of the summed scores, at every row: what `min_range` is held against."""
    counted = mask.bool().any(-1)
    scaled = masked.row_min_max(scores, mask, min_range) if scale_rows else scores
    sums = masked.row_sum(scaled, mask)
    return masked.group_max(sums, group_ids, counted) - masked.group_min(sums, group_ids, counted)


def _lower_median(values: Tensor) -> Tensor:
    return values.sort().values[(len(values) - 1) // 2]


def robust_rollout_scale(
    scores: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"], *, strength: float = 0.1
) -> Float[Tensor, "B T"]:
    """1 + c·tanh((S_i − median)/(MAD + 1e-8)), S_i the mean score of a rollout, over the batch (CGPO).

    MAD is the median of |S_i − median|; both medians are lower ones. Like VPPO's α, but one outlier moves no
    other rollout's weight. 1 for fewer than two rollouts with tokens.

    Args:
        strength: c; in [0, 1].
    """
    counted = mask.bool().any(-1)
    means = masked.row_mean(scores, mask)
    if int(counted.sum()) < 2:
        return masked.clean(torch.ones_like(means)[:, None].expand(mask.shape), mask)
    middle = _lower_median(means[counted])
    spread = _lower_median((means[counted] - middle).abs())
    scale = 1 + strength * torch.tanh((means - middle) / (spread + masked.EPSILON))
    return masked.clean(scale[:, None].expand(mask.shape), mask)
