"""The only reductions over padding in Sightline.

Every function takes `values [B, T]` and `mask [B, T]` (1 = counts, 0 = padding), never reads a
padded value, and gives 0 for a row without any valid position.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Num
from torch import Tensor


def clean(values: Num[Tensor, "B T"], mask: Num[Tensor, "B T"], fill: float = 0.0) -> Float[Tensor, "B T"]:
    """`values` in float32 with `fill` at padded positions, whatever stood there (NaN included)."""
    return torch.where(mask.bool(), values.float(), torch.full_like(values, fill, dtype=torch.float32))


def lengths(mask: Num[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Valid positions of each row, T_i."""
    return mask.sum(-1).float()


def row_sum(values: Num[Tensor, "B T"], mask: Num[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Sum over the valid positions of each row."""
    return clean(values, mask).sum(-1)


def row_mean(values: Num[Tensor, "B T"], mask: Num[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Mean over the valid positions of each row."""
    return row_sum(values, mask) / lengths(mask).clamp(min=1.0)


def row_min(values: Num[Tensor, "B T"], mask: Num[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Smallest valid value of each row."""
    smallest = clean(values, mask, fill=float("inf")).amin(-1) if mask.shape[-1] else lengths(mask)
    return torch.where(lengths(mask) > 0, smallest, torch.zeros_like(smallest))


def row_max(values: Num[Tensor, "B T"], mask: Num[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Largest valid value of each row."""
    largest = clean(values, mask, fill=float("-inf")).amax(-1) if mask.shape[-1] else lengths(mask)
    return torch.where(lengths(mask) > 0, largest, torch.zeros_like(largest))


def mean(values: Num[Tensor, "B T"], mask: Num[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Mean over every valid position of the batch (the token mean)."""
    return row_sum(values, mask).sum() / lengths(mask).sum().clamp(min=1.0)
