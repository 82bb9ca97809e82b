"""Which tokens of a rollout get the gradient: filters by score, and a weight with mean 1 per rollout.

Every function takes scores ≥ 0 `[B, T]` and the mask, and looks at one row at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from .. import masked


def share_of_count(
    share: float, counts: Shaped[Tensor, " B"], rounding: Callable[[float], int]
) -> Int[Tensor, " B"]:
    """`rounding(share · count)` per row, the product rounded to 9 digits first (0.7·90 is 63, not 62)."""
    values = [rounding(round(share * count, 9)) for count in counts.long().tolist()]
    return torch.tensor(values, dtype=torch.long, device=counts.device)


def descending_rank(scores: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Place of each token in its row by falling score, from 0; ties keep the earlier token first."""
    order = masked.clean(scores, mask, fill=float("-inf")).argsort(dim=-1, descending=True, stable=True)
    places = torch.arange(scores.shape[-1], device=scores.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)


def _top(scores: Tensor, mask: Tensor, keep: float) -> Bool[Tensor, "B T"]:
    count = share_of_count(keep, masked.lengths(mask), math.ceil)
    return (descending_rank(scores, mask) < count[:, None]) & mask.bool()


def top_fraction(
    scores: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"], *, keep: float
) -> Float[Tensor, "B T"]:
    """1 for the ceil(k·T_i) tokens of largest score of each rollout, else 0 (VPPO Eq. 4).

    Equal scores keep the earlier token; constant scores keep the first ones.

    Args:
        keep: k, the share of a rollout's tokens; in (0, 1].
    """
    return _top(scores, mask, keep).float()


def top_fraction_union(
    scores: Shaped[Tensor, "B T"],
    other_scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    keep: float,
    other_keep: float,
) -> Float[Tensor, "B T"]:
    """1 for tokens in the top `keep` share by one score or in the top `other_keep` share by the other.

    The union mask of VPPO's code: perception (0.4) and entropy (0.2).

    Args:
        keep: the share by the first score; in (0, 1].
        other_keep: the share by the second score; in (0, 1].
    """
    return (_top(scores, mask, keep) | _top(other_scores, mask, other_keep)).float()


def top_mass(
    scores: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"], *, share: float, min_range: float
) -> Float[Tensor, "B T"]:
    """1 for the fewest tokens of a rollout that hold at least `share` of its summed score, else 0.

    Where the scores are concentrated this keeps far fewer tokens than a share of their number.
    Equal scores keep the earlier token. A rollout whose scores have a range up to `min_range` names
    no token before another and keeps all of them.

    Args:
        share: of a rollout's summed score; in (0, 1].
    """
    values = masked.clean(scores, mask)
    order = values.masked_fill(~mask.bool(), -1.0).argsort(dim=-1, descending=True, stable=True)
    sorted_values = values.gather(-1, order)
    before = sorted_values.cumsum(-1) - sorted_values
    wanted = share * values.sum(-1, keepdim=True) * (1 - 1e-9)
    kept = torch.zeros_like(mask.bool()).scatter_(-1, order, before < wanted)
    constant = (masked.row_range(scores, mask) <= min_range)[:, None]
    return ((kept | constant) & mask.bool()).float()


def saturated(
    scores: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"], *, level: float, floor: float = 0.0
) -> Float[Tensor, "B T"]:
    """f + (1 − f)·S/(S + c) with c = `level` > 0 in the unit of the scores, f = `floor` in [0, 1].

    Even credit for what depends enough, and `floor` for what does not. In [f, 1]: f at S = 0, half way up at
    S = c, near 1 well above it. A token is weighed by itself, so that no rollout's weight piles up on one of
    its tokens and constant scores stay what they say. 0 at padding.

    Args:
        level: c, the score at which half of the credit is reached; in (0, 1e+06], in the unit of the scores.
        floor: f, the credit of a score of 0; in [0, 1].
    """
    values = masked.clean(scores, mask)
    return masked.clean(floor + (1 - floor) * values / (values + level), mask)


def centered_token_weights(
    scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    min_range: float,
    low: float = 0.0,
    high: float = 2.0,
) -> Float[Tensor, "B T"]:
    """1 + ψ with ψ = ŵ − mean_t ŵ and ŵ the min-max of the scores within the rollout (VGPO Eq. 7, 8).

    In (0, 2), mean 1 over the tokens of each rollout; 1 where the range is up to `min_range`.
    Clamped, as VGPO's released code does with [0.1, 2], the mean is not 1.

    Args:
        low: the smallest weight; in [0, 1e+06].
        high: the largest weight; in [0, 1e+06].
    """
    scaled = masked.row_min_max(scores, mask, min_range)
    centred = 1 + scaled - masked.row_mean(scaled, mask)[:, None]
    return masked.clean(centred.clamp(low, high), mask)
