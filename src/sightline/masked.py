"""The only reductions over padding and over groups in Sightline.

Row functions take `values [B, T]` and `mask [B, T]` (1 = counts, 0 = padding), never read a padded
value, and give 0 for a row without any valid position. Group functions take one value per row and
`counted [B]`, and hand every row the figure of its own group. All of them keep float64 and work in
float32 otherwise.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

EPSILON = 1e-8
"""The ε in every min-max denominator."""


def floating(values: Tensor) -> Tensor:
    """`values` in float64 if they are, else in float32."""
    return values if values.dtype == torch.float64 else values.float()


def clean(
    values: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"], fill: float = 0.0
) -> Float[Tensor, "B T"]:
    """`values` as floating point with `fill` at padded positions, whatever stood there (NaN included)."""
    return floating(values).masked_fill(~mask.bool(), fill)


def lengths(mask: Shaped[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Valid positions of each row, T_i."""
    return mask.bool().sum(-1).float()


def row_sum(values: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Sum over the valid positions of each row."""
    return clean(values, mask).sum(-1)


def row_mean(values: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Mean over the valid positions of each row."""
    return row_sum(values, mask) / lengths(mask).clamp(min=1.0)


def row_min(values: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Smallest valid value of each row."""
    return -row_max(-floating(values), mask)


def row_max(values: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Largest valid value of each row."""
    if mask.shape[-1] == 0:
        return floating(values).sum(-1)
    return clean(values, mask, fill=float("-inf")).amax(-1).masked_fill(lengths(mask) == 0, 0.0)


def row_range(values: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Largest minus smallest valid value of each row."""
    return row_max(values, mask) - row_min(values, mask)


def row_min_max(
    values: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    min_range: float,
    epsilon: float = EPSILON,
) -> Float[Tensor, "B T"]:
    """(x − min)/(max − min + ε) over the valid positions of each row, in [0, 1]; 0 at padding.

    A row whose range is up to `min_range` is constant and gives 0 everywhere. With `epsilon` 0 the largest
    value is exactly 1.
    """
    smallest, spread = row_min(values, mask), row_range(values, mask)
    scaled = (clean(values, mask) - smallest[:, None]) / (spread[:, None] + epsilon)
    return scaled.masked_fill(~mask.bool() | (spread <= min_range)[:, None], 0.0)


def mean(values: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Mean over every valid position of the batch (the token mean)."""
    return row_sum(values, mask).sum() / lengths(mask).sum().clamp(min=1.0)


def _members(group_ids: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Which counted rows belong to each group [groups, B], and the group of each row [B]."""
    slots = torch.unique(group_ids, return_inverse=True)[1]
    groups = torch.arange(int(slots.max()) + 1 if len(slots) else 0, device=slots.device)
    return (slots == groups[:, None]) & counted.bool(), slots


def group_count(group_ids: Int[Tensor, " B"], counted: Bool[Tensor, " B"]) -> Float[Tensor, " B"]:
    """How many counted rows each row's group has."""
    members, slots = _members(group_ids, counted)
    return members.sum(-1).float()[slots]


def group_mean(
    values: Shaped[Tensor, " B"], group_ids: Int[Tensor, " B"], counted: Bool[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """Mean over the counted rows of each row's group; 0 for a group without any."""
    members, slots = _members(group_ids, counted)
    sums = floating(values).masked_fill(~members, 0.0).sum(-1)
    return (sums / members.sum(-1).clamp(min=1))[slots]


def group_max(
    values: Shaped[Tensor, " B"], group_ids: Int[Tensor, " B"], counted: Bool[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """Largest value among the counted rows of each row's group; 0 for a group without any."""
    members, slots = _members(group_ids, counted)
    if len(slots) == 0:
        return floating(values)
    largest = floating(values).masked_fill(~members, float("-inf")).amax(-1)
    return largest.masked_fill(~members.any(-1), 0.0)[slots]


def group_min(
    values: Shaped[Tensor, " B"], group_ids: Int[Tensor, " B"], counted: Bool[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """Smallest value among the counted rows of each row's group; 0 for a group without any."""
    return -group_max(-floating(values), group_ids, counted)


def group_std(
    values: Shaped[Tensor, " B"], group_ids: Int[Tensor, " B"], counted: Bool[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """Unbiased standard deviation (n − 1) in each row's group; exactly 0 if all are equal or alone."""
    centred = floating(values) - group_mean(values, group_ids, counted)
    degrees = (group_count(group_ids, counted) - 1).clamp(min=1.0)
    squares = group_mean(centred.square(), group_ids, counted) * group_count(group_ids, counted)
    spread = group_max(values, group_ids, counted) - group_min(values, group_ids, counted)
    return (squares / degrees).sqrt().masked_fill(spread == 0, 0.0)


def group_min_max(
    values: Shaped[Tensor, " B"],
    group_ids: Int[Tensor, " B"],
    counted: Bool[Tensor, " B"],
    min_range: float,
) -> Float[Tensor, " B"]:
    """(x − min)/(max − min + ε) within each group, in [0, 1]; 0 for rows that do not count.

    A group whose range is up to `min_range` is constant and gives 0.
    """
    smallest = group_min(values, group_ids, counted)
    spread = group_max(values, group_ids, counted) - smallest
    scaled = (floating(values) - smallest) / (spread + EPSILON)
    return scaled.masked_fill(~counted.bool() | (spread <= min_range), 0.0)
