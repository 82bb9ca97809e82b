"""Signals that are sums over the vocabulary, over one part of it: `dependency.py` in fewer passes.

Each takes `Words` and gives the part's share `[K]`; shares of all parts add up to the signal. Under
grad, and where a token is impossible or so far apart that float32 would overflow, the definition runs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import dependency
from .distribution import Words

_FAR = 60.0
"""Log-probs that differ by less than this have a ratio, and a product with it, that float32 can hold."""


def exact_kl(words: Words) -> Tensor:
    """Σ p (exp(d) − 1 − d), d = log q − log p."""
    low, high = torch.aminmax(words.difference)
    if torch.is_grad_enabled() or not bool((low > -_FAR) & (high < _FAR)):
        return dependency.exact_kl(words.log_p, words.log_q)
    return _dot(torch.expm1(words.difference).sub_(words.difference), words.p)


def jensen_shannon(words: Words) -> Tensor:
    """½ KL(p ‖ m) + ½ KL(q ‖ m)."""
    return dependency.jensen_shannon(words.log_p, words.log_q)


def symmetric_kl(words: Words) -> Tensor:
    """½ Σ (p − q)(log p − log q)."""
    return dependency.symmetric_kl(words.log_p, words.log_q)


def entropy(words: Words) -> Tensor:
    """−Σ p log p."""
    if torch.is_grad_enabled() or not bool(words.log_p.amin() > -torch.inf):
        return dependency.entropy(words.log_p)
    return -_dot(words.p, words.log_p)


def other_entropy(words: Words) -> Tensor:
    """−Σ q log q."""
    if torch.is_grad_enabled() or not bool(words.log_q.amin() > -torch.inf):
        return dependency.entropy(words.log_q)
    return -_dot(words.q, words.log_q)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Over the last dimension, in the tensors' own precision: autocast would take half of it."""
    with torch.autocast(a.device.type, enabled=False):
        return torch.linalg.vecdot(a, b)
