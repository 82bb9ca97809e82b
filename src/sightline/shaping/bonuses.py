"""Weights that read the advantage they multiply."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from .. import masked
from ..errors import UserError


def check_caps(entropy_cap: float, divergence_cap: float) -> None:
    """Raise unless 1/b_o + 1/b_p ≤ 1, without which a weight could be below 0."""
    total = 1 / entropy_cap + 1 / divergence_cap
    if total > 1 + 1e-12:
        raise UserError(
            "advantage_bonus: 1/entropy_cap + 1/divergence_cap must be at most 1, or weights could be below "
            f"0; got 1/{entropy_cap:g} + 1/{divergence_cap:g} = {total:g}; raise a cap"
        )


def advantage_bonus(
    entropy: Shaped[Tensor, "B T"],
    divergence: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    entropy_scale: float,
    entropy_cap: float,
    divergence_scale: float,
    divergence_cap: float,
    in_sequence: bool,
    advantages: Shaped[Tensor, " B"],
    noisy: Bool[Tensor, " B"],
) -> Float[Tensor, "B T"]:
    """Â/A with Â = A + min(|A|/b_o, a_o·u_o) + z·min(|A|/b_p, a_p·u_p), in [0, 2] (DUPL Alg. 1).

    u_o is `entropy`, u_p `divergence`, z is `noisy`. Right answers are pushed more on uncertain tokens, wrong
    ones punished less. 1 where A = 0. ≥ 0 since 1/b_o + 1/b_p ≤ 1. A scale of 0 turns its part off.

    Args:
        entropy_scale: a_o; in [0, 1e+06].
        entropy_cap: b_o, the bonus is at most |A|/b_o; in (0, 1e+06].
        divergence_scale: a_p; in [0, 1e+06].
        divergence_cap: b_p, the bonus is at most |A|/b_p; in (0, 1e+06].
        in_sequence: True bounds the entropy's bonus by the advantage after the divergence's, as the released
            code does.
    """
    size = masked.floating(advantages).abs()[:, None].to(mask.device)
    sign = masked.floating(advantages).sign()[:, None].to(mask.device)

    def bonus(scores: Tensor, scale: float, cap: float, base: Tensor) -> Tensor:
        wanted = scale * masked.clean(scores, mask) / torch.where(size > 0, size, 1.0)
        return torch.minimum(base / cap, wanted)

    one = torch.ones_like(masked.clean(entropy, mask))
    seen = noisy.to(mask.device).to(one.dtype)[:, None]
    first = seen * bonus(divergence, divergence_scale, divergence_cap, one)
    base = (one + sign * first).abs() if in_sequence else one
    second = bonus(entropy, entropy_scale, entropy_cap, base)
    weights = torch.where(size > 0, 1 + sign * (first + second), one)
    return masked.clean(weights.clamp(min=0), mask)


def bonus_statistics(
    entropy: Shaped[Tensor, "B T"],
    divergence: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    entropy_scale: float,
    entropy_cap: float,
    divergence_scale: float,
    divergence_cap: float,
    in_sequence: bool,
    advantages: Shaped[Tensor, " B"],
    noisy: Bool[Tensor, " B"],
) -> dict[str, float]:
    """`noisy_share` of the rollouts, and `mean_bonus`, |Â − A|/|A| over tokens of rollouts with A ≠ 0."""
    weights = advantage_bonus(
        entropy,
        divergence,
        mask,
        entropy_scale=entropy_scale,
        entropy_cap=entropy_cap,
        divergence_scale=divergence_scale,
        divergence_cap=divergence_cap,
        in_sequence=in_sequence,
        advantages=advantages,
        noisy=noisy,
    )
    moved = mask.bool() & (advantages != 0).to(mask.device)[:, None]
    counted = mask.bool().any(-1)
    if not counted.any():
        return {}
    found = {"noisy_share": float(noisy.to(mask.device)[counted].float().mean())}
    return found | ({"mean_bonus": float(masked.mean((weights - 1).abs(), moved))} if moved.any() else {})
