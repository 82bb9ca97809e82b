"""The next-token distributions of a few tokens, from which formulas of signals read what they need.

A tile is a few tokens of a batch, at most about a thousand: its logits `[K, V]`, in the head's dtype, are the
largest tensor that ever exists. Float32 copies are as wide as one part of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Logits:
    """Hidden state -> logit, the last steps in float32."""

    weight: Tensor
    bias: Tensor | None
    scale: float
    softcap: float | None
    temperature: float

    def raw(self, hidden: Tensor) -> Tensor:
        """W h + b in the head's dtype, [K, V]."""
        return torch.nn.functional.linear(hidden.to(self.weight.dtype), self.weight, self.bias)

    def finished(self, raw: Tensor) -> Tensor:
        """Float32 logits, scaled, bent and at the sampling temperature."""
        logits = raw.float()
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        return logits if self.temperature == 1.0 else logits / self.temperature


@dataclass(frozen=True)
class Distribution:
    """The next-token distributions of one tile of tokens under one view."""

    raw: Tensor
    """[K, V], as the head made them."""
    norm: Tensor
    """[K], log Σ exp of the finished logits."""
    transform: Logits
    width: int
    """Words of the vocabulary in one part."""

    @classmethod
    def of(cls, hidden: Tensor, transform: Logits, width: int) -> Distribution:
        """The distributions that states [K, D] predict."""
        raw = transform.raw(hidden)
        parts = [transform.finished(piece).logsumexp(-1) for piece in raw.split(width, dim=-1)]
        return cls(raw, torch.stack(parts).logsumexp(0), transform, width)

    def log_prob(self, tokens: Tensor) -> Tensor:
        """log p of one token of each row, [K]."""
        picked = self.raw.gather(-1, tokens[:, None]).squeeze(-1)
        return self.transform.finished(picked) - self.norm

    def mass(self, tokens: Sequence[int]) -> Tensor:
        """Σ p over some tokens, [K]."""
        return (self.transform.finished(self.raw[:, list(tokens)]) - self.norm[:, None]).exp().sum(-1)

    def likeliest(self) -> Tensor:
        """The token of largest probability of each row, [K]."""
        return self.raw.argmax(-1)

    def log_probs(self, rows: slice = slice(None)) -> Tensor:
        """log p over the whole vocabulary, float32 [rows, V]: take a few rows at a time."""
        return self.transform.finished(self.raw[rows]) - self.norm[rows, None]

    def parts(self) -> list[Tensor]:
        """log p over one part of the vocabulary after the other is `part(piece)` of each of these."""
        return list(self.raw.split(self.width, dim=-1))

    def part(self, piece: Tensor) -> Tensor:
        """log p over a part of the vocabulary, float32 [K, words]."""
        return self.transform.finished(piece) - self.norm[:, None]


class Words:
    """log p and log q of a tile over one part of the vocabulary, float32 [K, words]; their exp is made once.

    `other` is None where there is no second view.
    """

    def __init__(self, log_p: Tensor, log_q: Tensor | None):
        self.log_p = log_p
        self.other = log_q

    @property
    def log_q(self) -> Tensor:
        """log q, under the second view."""
        if self.other is None:
            raise ValueError("this signal reads log_q: its row must say compares_views=True")
        return self.other

    @cached_property
    def p(self) -> Tensor:
        """exp(log p)."""
        return self.log_p.exp()

    @cached_property
    def q(self) -> Tensor:
        """exp(log q)."""
        return self.log_q.exp()

    @cached_property
    def difference(self) -> Tensor:
        """log q − log p."""
        return self.log_q - self.log_p
