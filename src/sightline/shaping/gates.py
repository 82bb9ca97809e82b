"""A softmax over a rollout's tokens: what one score says, gated by what two scores say together."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .. import masked


def gated_softmax(
    prior: Shaped[Tensor, "B T"],
    other: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    gate: float,
    temperature: float,
    ramp: bool,
    min_range: float,
    progress: float,
) -> Float[Tensor, "B T"]:
    """(1 − λ) + λ·T_i·softmax_t(S·(1 + α·tanh g)/τ), g = minmax(S) + minmax(H) − their mean (PEPO).

    S is `prior` and H is `other`, both as measured: the softmax ignores a shift of S, but the gate
    multiplies it. The min-max is within the rollout, exactly 1 at the largest value, and 0 where the range
    is up to `min_range`. Sums to T_i in every rollout; 1 where both are constant, and for a single token.

    Args:
        gate: α, how much the gate bends S; in [0, 1e+06].
        temperature: τ of the softmax; in (0, 1e+06].
        ramp: True takes λ = `progress` of the training, from 0 to 1, so that the first step is without
            weights; False takes 1.
    """
    both = masked.row_min_max(prior, mask, min_range, epsilon=0.0)
    both = both + masked.row_min_max(other, mask, min_range, epsilon=0.0)
    bend = 1 + gate * torch.tanh(both - masked.row_mean(both, mask)[:, None])
    exponent = masked.clean(prior, mask) * bend / temperature
    weights = softmax_weights(exponent, mask)
    share = progress if ramp else 1.0
    return masked.clean((1 - share) + share * weights, mask)


def softmax_weights(values: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """T_i·softmax over the valid positions of each row; 0 at padding and for rows without any."""
    raised = masked.clean((values - masked.row_max(values, mask)[:, None]).exp(), mask)
    total = raised.sum(-1, keepdim=True)
    return raised * masked.lengths(mask)[:, None] / torch.where(total > 0, total, 1.0)


def gated_range(
    prior: Shaped[Tensor, "B T"], other: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"]
) -> Float[Tensor, " B"]:
    """The larger range of the two scores in each rollout: up to `min_range`, and the weights are 1."""
    return torch.maximum(masked.row_range(prior, mask), masked.row_range(other, mask))


def gated_statistics(
    prior: Shaped[Tensor, "B T"], other: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"]
) -> dict[str, float]:
    """`prior_range`, the mean over rollouts of the range of S: small, and the weights are all near 1."""
    counted = mask.bool().any(-1)
    return {"prior_range": float(masked.row_range(prior, mask)[counted].mean())} if counted.any() else {}
