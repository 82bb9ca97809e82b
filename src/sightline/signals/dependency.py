"""How much the next token depends on the image: divergences between the two views' distributions.

`log_p` and `log_q` are log-probabilities `[..., V]`, normalised over the last axis, with the image and
with it taken away. Results are in nats, in the precision of the input, and differentiable.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def sampled_k3(
    log_probs: Float[Tensor, "*shape"], other_log_probs: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """k3 = exp(d) − d − 1 with d = log q − log p at the sampled token, in [0, 10].

    An estimate of KL(p ‖ q), unbiased before clamping when the token was sampled from p, and wrong
    under greedy decoding. d is clamped to ±20 and k3 to [0, 10]; the gradient is 0 where either holds.
    """
    difference = (other_log_probs - log_probs).clamp(-20.0, 20.0)
    return (difference.expm1() - difference).clamp(0.0, 10.0)


def _expectation(log_p: Tensor, values: Tensor) -> Tensor:
    """Σ p·values over the vocabulary, where tokens of probability 0 count nothing."""
    impossible = log_p == -math.inf
    return (log_p.exp() * values.masked_fill(impossible, 0.0)).sum(-1)


def exact_kl(log_p: Float[Tensor, "*shape V"], log_q: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
    """KL(p ‖ q) = Σ_v p_v (log p_v − log q_v) over the full vocabulary, ≥ 0 (VPPO Eq. 3).

    Summed as Σ_v p_v (exp(d_v) − d_v − 1), d = log q − log p, which is the same since p and q both sum
    to 1, but has no negative term to cancel: in float32 the plain sum is noise below 1e-7, this one is
    right far below. Infinite where q is 0 and p is not.
    """
    difference = log_q - log_p
    p = log_p.exp()
    near = difference.abs() < 1
    small = difference.masked_fill(~near, 0.0)
    large = difference.masked_fill(near | (log_p == -math.inf), 0.0)
    return torch.where(near, p * (small.expm1() - small), log_q.exp() - p - p * large).sum(-1).clamp(min=0.0)


def jensen_shannon(
    log_p: Float[Tensor, "*shape V"], log_q: Float[Tensor, "*shape V"]
) -> Float[Tensor, "*shape"]:
    """½ KL(p ‖ m) + ½ KL(q ‖ m) with m = (p + q)/2: symmetric, in [0, ln 2], finite always."""
    log_m = torch.logaddexp(log_p, log_q) - math.log(2.0)
    halves = _expectation(log_p, log_p - log_m) + _expectation(log_q, log_q - log_m)
    return (0.5 * halves).clamp(0.0, math.log(2.0))


def top_probability_drop(
    log_p: Float[Tensor, "*shape V"], log_q: Float[Tensor, "*shape V"]
) -> Float[Tensor, "*shape"]:
    """p(v) − q(v) for the token v most likely with the image, in [−1, 1].

    Negative where taking the image away makes that token likelier; as a score such a token counts 0.
    """
    top, token = log_p.max(dim=-1, keepdim=True)
    return (top.exp() - log_q.gather(-1, token).exp()).squeeze(-1)


def entropy(log_p: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
    """−Σ_v p_v log p_v, in [0, ln V]; of one view alone."""
    return _expectation(log_p, -log_p).clamp(min=0.0)


def symmetric_kl(
    log_p: Float[Tensor, "*shape V"], log_q: Float[Tensor, "*shape V"]
) -> Float[Tensor, "*shape"]:
    """½ [KL(p ‖ q) + KL(q ‖ p)] = ½ Σ_v (p_v − q_v)(log p_v − log q_v), in [0, ∞) (DUPL Eq. 1).

    Every addend is ≥ 0, so small divergences do not cancel. Infinite where one of p, q is 0 and the other
    is not; words of probability 0 in both count nothing.
    """
    both = (log_p == -math.inf) & (log_q == -math.inf)
    difference = (log_p - log_q).masked_fill(both, 0.0)
    # p − q as exp(larger)·(1 − exp(−|d|)): exact where p and q are close.
    apart = torch.maximum(log_p, log_q).exp() * -torch.expm1(-difference.abs())
    return (0.5 * apart * difference.abs()).sum(-1)


def abs_log_ratio(
    log_probs: Float[Tensor, "*shape"], other_log_probs: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """|log p − log q| at the sampled token, in [0, ∞) (ToR Eq. 8)."""
    return (log_probs - other_log_probs).abs()


def sampled_entropy_term(log_probs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """−p log p of the sampled token alone, in [0, 1/e]: what DUPL's code calls entropy."""
    return -log_probs.exp() * log_probs


def sampled_symmetric(
    log_probs: Float[Tensor, "*shape"], other_log_probs: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """½ [p (log p − log(q + 1e-8)) + q (log q − log(p + 1e-8))] at the sampled token (DUPL's code).

    p and q are probabilities of that token alone. At least −1e-8, which the epsilons inside the logarithms
    bring about where p and q agree; as a score such a token counts 0.
    """
    p, q = log_probs.exp(), other_log_probs.exp()
    first = p * (log_probs - (q + 1e-8).log())
    return 0.5 * (first + q * (other_log_probs - (p + 1e-8).log()))
