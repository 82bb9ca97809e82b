"""The entropy of the likeliest words: of the top-p set, which no sum over parts of the vocabulary gives."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from . import dependency
from .distribution import Distribution

_AT_ONCE = 1 << 22
"""Words of float32 log-probs that are sorted at once, 16 MiB."""
_LIKELIEST = 512
"""Words that hold the whole set of most tokens; only the other tokens' words are sorted in full."""


def top_p_entropy(log_p: Float[Tensor, "*shape V"], top_p: float = 0.95) -> Float[Tensor, "*shape"]:
    """The entropy of p renormalised over its top-p set, in [0, ln V] (ToR Eq. 5).

    The set holds the likeliest words, the first ones whose probabilities sum to at least `top_p` in (0, 1];
    `top_p` 1 is `entropy`. 0 where one word holds so much. Renormalising is a second-hand reading of Eq. 5.
    """
    falling = log_p.sort(dim=-1, descending=True).values
    return _nucleus_entropy(falling, top_p)


def _nucleus_entropy(falling: Tensor, top_p: float) -> Tensor:
    """The same from log-probs [..., W] that fall along the last axis, and hold the whole set."""
    p = falling.exp()
    kept = (p.cumsum(-1) - p < top_p) if top_p < 1 else torch.ones_like(p, dtype=torch.bool)
    p = p.masked_fill(~kept, 0.0)
    p = p / p.sum(-1, keepdim=True)  # a set of one word has exactly 1, and entropy 0
    return torch.special.entr(p).sum(-1)


def tiled_top_p_entropy(first: Distribution, top_p: float = 0.95) -> Float[Tensor, " K"]:
    """`top_p_entropy` of a tile, a few tokens at a time, of which most take a partial sort."""
    words = first.raw.shape[-1]
    rows = max(1, _AT_ONCE // words)
    found = [
        _partly_sorted(first.log_probs(slice(start, start + rows)), top_p)
        for start in range(0, len(first.raw), rows)
    ]
    return torch.cat(found) if found else first.norm.new_zeros(0)


def _partly_sorted(log_p: Tensor, top_p: float) -> Tensor:
    if top_p >= 1:
        return dependency.entropy(log_p)
    if log_p.shape[-1] <= _LIKELIEST:
        return top_p_entropy(log_p, top_p)
    falling = log_p.topk(_LIKELIEST, dim=-1).values
    found = _nucleus_entropy(falling, top_p)
    short = falling.exp().sum(-1) < top_p
    if bool(short.any()):
        found = found.clone()
        found[short] = top_p_entropy(log_p[short], top_p)
    return found
