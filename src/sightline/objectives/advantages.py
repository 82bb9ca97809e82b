"""Rewards to advantages `[B]`, and which groups are worth training on."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from .. import masked


def group_advantages(
    rewards: Shaped[Tensor, " B"],
    group_ids: Int[Tensor, " B"],
    scale: bool = True,
    epsilon: float = 1e-6,
) -> Float[Tensor, " B"]:
    """A_i = (R_i − mean_G R)/(std_G R + ε), std unbiased (n − 1); without `scale` only R_i − mean_G R.

    Exactly 0 for a group of one and for a group whose rewards are all equal. GRPO; Dr. GRPO leaves
    the division out.
    """
    everyone = torch.ones_like(group_ids, dtype=torch.bool)
    spread = masked.group_std(rewards, group_ids, everyone)
    centred = masked.floating(rewards) - masked.group_mean(rewards, group_ids, everyone)
    scaled = centred / (spread + epsilon) if scale else centred
    return scaled.masked_fill(spread == 0, 0.0)


def overlong_penalty(lengths: Shaped[Tensor, " B"], max_length: int, buffer: int) -> Float[Tensor, " B"]:
    """0 up to L_max − L_buffer tokens, falling linearly to −1 at L_max, −1 beyond (DAPO Eq. 13)."""
    over = masked.floating(lengths) - (max_length - buffer)
    return -(over / buffer).clamp(0.0, 1.0)


def informative_groups(
    rewards: Shaped[Tensor, " B"], group_ids: Int[Tensor, " B"], low: float = 0.01, high: float = 0.99
) -> Bool[Tensor, " B"]:
    """True on the rows of groups with low < mean reward < high: neither all wrong nor all right."""
    average = masked.group_mean(rewards, group_ids, torch.ones_like(group_ids, dtype=torch.bool))
    return (average > low) & (average < high)
