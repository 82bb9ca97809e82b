"""Adjustments: scores to scores `[B, T]`, both ≥ 0, before a shaping reads them."""

from __future__ import annotations

import math

from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from .. import masked
from .tokens import descending_rank, share_of_count

SCHEDULES = ("linear", "exponential", "step")


def progress(mask: Shaped[Tensor, "B T"], *, schedule: str, from_zero: bool = False) -> Float[Tensor, "B T"]:
    """How far the response has come, in [0, 1]: t/T_i with t = 1..T_i (VGPO Eq. 5), 0 at padding.

    `schedule`: "linear", "exponential" (its square) or "step" (1 from one half on, else 0).
    `from_zero` counts (t − 1)/(T_i − 1), as VGPO's released code; a single token is then at 0.
    """
    first = 1 if from_zero else 0
    place = mask.bool().cumsum(-1) - first
    done = place / (masked.lengths(mask)[:, None] - first).clamp(min=1.0)
    if schedule == "exponential":
        done = done.square()
    elif schedule == "step":
        done = (done >= 0.5).float()
    return masked.clean(done, mask)


def late_and_high(
    scores: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"], *, tail: float, top: float
) -> Bool[Tensor, "B T"]:
    """Tokens of the last part of a rollout with scores among the largest there (VGPO Eq. 6).

    The tail starts at index floor((1 − γ)·T_i), from 0; the bar is the n-th largest score of the
    tail, n = max(1, floor(κ·its length)); ties pass. `tail` is γ and `top` is κ, both in [0, 1].
    """
    index = mask.bool().cumsum(-1) - 1
    count = masked.lengths(mask)
    start = share_of_count(1 - tail, count, math.floor)
    in_tail = mask.bool() & (index >= start[:, None])
    n = share_of_count(top, masked.lengths(in_tail), math.floor).clamp(min=1)
    among_first = (descending_rank(scores, in_tail) < n[:, None]) & in_tail
    bar = masked.row_min(scores, among_first)
    return in_tail & (masked.clean(scores, mask) >= bar[:, None])


def late_compensation(
    scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    strength: float,
    tail: float,
    top: float,
    schedule: str,
    gate: bool,
    from_zero: bool = False,
) -> Float[Tensor, "B T"]:
    """w = ρ·(1 + G·β·progress): late tokens that still look are raised (VGPO Eq. 5, 6).

    G is `late_and_high` with `gate`, else 1 for every token. 0 at padding.

    Args:
        strength: β, how much a token at the end of a rollout is raised; in [0, 1e+06].
        tail: γ, the last share of a rollout in which tokens are raised; in [0, 1].
        top: κ, the share of that tail's tokens, those of largest score, that are raised; in [0, 1].
        schedule: how the raise grows, "linear", "exponential" or "step".
        gate: False raises every token.
        from_zero: True counts tokens from 0 over T − 1, as VGPO's released code.
    """
    raised = strength * progress(mask, schedule=schedule, from_zero=from_zero)
    if gate:
        raised = raised * late_and_high(scores, mask, tail=tail, top=top)
    return masked.clean(scores, mask) * (1 + raised)


def batch_min_max(
    scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    min_range: float,
    padding_as_zero: bool = False,
) -> Float[Tensor, "B T"]:
    """(S − min)/(max − min + ε) over every valid token of the batch; 0 if constant, 0 at padding.

    Splitting a batch changes the result.

    Args:
        padding_as_zero: True counts every padded position of a row with tokens as a score of 0, as VGPO's
            released code does with the cosines of a micro-batch: with padding, scores that are all positive
            are then not shifted.
    """
    counted = mask.bool()
    if padding_as_zero:
        counted = counted.any(-1, keepdim=True).expand(mask.shape)
    values = masked.clean(scores, mask)
    everything = masked.row_min_max(values.reshape(1, -1), counted.reshape(1, -1), min_range)
    return masked.clean(everything.reshape(scores.shape), mask)
