"""Per-token numbers straight from hidden states, tile by tile.

The logits of a few tokens `[tile, V]`, in the head's dtype, are the largest tensor that ever exists;
`[B, T, V]` never does, and float32 copies are as wide as one chunk of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UserError
from ..value_checks import known_names
from .dependency import entropy, exact_kl, jensen_shannon, sampled_k3
from .table import SIGNALS

SUMMED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "exact_kl": lambda log_p, log_q: _kl(log_p, log_q),
    "jensen_shannon": jensen_shannon,
    "entropy": lambda log_p, log_q: _entropy(log_p, log_q),
}
"""Signals that are sums over the vocabulary of terms ≥ 0, so that chunks of it add up."""

_FAR = 60.0
"""Log-probs that differ by less than this have a ratio, and a product with it, that float32 can hold."""
_BYTES_AT_ONCE = 120_000_000
"""Logits of a tile, both views, take up to this."""
_LONGEST_TILE = 1024
_TILE_STEP = 64
_CHUNK = {"cpu": 8192}
_LARGE_CHUNK = 65536


def token_statistics(
    hidden: Float[Tensor, "K D"],
    other_hidden: Float[Tensor, "K D"] | None,
    head_weight: Float[Tensor, "V D"],
    head_bias: Float[Tensor, " V"] | None,
    token_ids: Int[Tensor, " K"],
    temperature: float = 1.0,
    signals: Collection[str] = (),
    tile: int | None = None,
    *,
    chunk: int | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    banned_ids: Sequence[int] | None = None,
) -> dict[str, Float[Tensor, " K"]]:
    """Log-probs of the sampled tokens under both views, and the requested signals, each `[K]` float32.

    `hidden` and `other_hidden` are the states that predict the tokens, K valid tokens of any rows side
    by side; `other_hidden` is None if there is one view. The result holds "log_prob",
    "other_log_prob" (with two views), "banned_mass" (Σ p(v) over `banned_ids` under the first view, if
    they are given) and one entry per name in `signals`. Logits are made in the
    head's dtype (autocast's inside autocast), multiplied by `logit_scale`, bent by
    softcap · tanh(z / softcap) where there is a `softcap`, divided by `temperature` and normalised in
    float32. `tile` tokens run at a time, and float32 work takes `chunk` words of the vocabulary at a
    time; where None they are chosen to fit about 200 MB. Gradients follow the caller's mode; under grad
    every tile is kept, so score under `torch.no_grad()`.
    Raises `UserError` for an unknown signal, one read from hidden states, or a missing second view.
    """
    _check(signals, other_hidden)
    tile = tile or _tile(head_weight, 1 if other_hidden is None else 2)
    transform = _Logits(head_weight, head_bias, logit_scale, softcap, temperature)
    chunk = chunk or _CHUNK.get(hidden.device.type, _LARGE_CHUNK)
    tiles = []
    for start in range(0, len(token_ids), tile):
        part = slice(start, start + tile)
        first = _View.of(hidden[part], transform, chunk)
        second = None if other_hidden is None else _View.of(other_hidden[part], transform, chunk)
        tiles.append(_statistics(first, second, token_ids[part], signals))
        if banned_ids is not None:
            tiles[-1]["banned_mass"] = first.mass(banned_ids)
    names = _names(signals, other_hidden) + (["banned_mass"] if banned_ids is not None else [])
    empty = hidden.new_zeros(0, dtype=torch.float32)
    return {name: torch.cat([found[name] for found in tiles]) if tiles else empty for name in names}


@dataclass(frozen=True)
class _Logits:
    """Hidden state -> logit, the last steps in float32."""

    weight: Tensor
    bias: Tensor | None
    scale: float
    softcap: float | None
    temperature: float

    def raw(self, hidden: Tensor) -> Tensor:
        return torch.nn.functional.linear(hidden.to(self.weight.dtype), self.weight, self.bias)

    def finished(self, raw: Tensor) -> Tensor:
        logits = raw.float()
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        return logits if self.temperature == 1.0 else logits / self.temperature


@dataclass(frozen=True)
class _View:
    """The next-token distributions of one tile of tokens under one view."""

    raw: Tensor
    """[tile, V], as the head made them."""
    norm: Tensor
    """[tile], log Σ exp of the finished logits."""
    transform: _Logits
    chunk: int

    @classmethod
    def of(cls, hidden: Tensor, transform: _Logits, chunk: int) -> _View:
        raw = transform.raw(hidden)
        parts = [transform.finished(piece).logsumexp(-1) for piece in raw.split(chunk, dim=-1)]
        return cls(raw, torch.stack(parts).logsumexp(0), transform, chunk)

    def log_prob(self, tokens: Tensor) -> Tensor:
        """log p of one token of each row, [tile]."""
        picked = self.raw.gather(-1, tokens[:, None]).squeeze(-1)
        return self.transform.finished(picked) - self.norm

    def mass(self, tokens: Sequence[int]) -> Tensor:
        """Σ p over some tokens, [tile]."""
        return (self.transform.finished(self.raw[:, list(tokens)]) - self.norm[:, None]).exp().sum(-1)

    def chunks(self) -> list[Tensor]:
        """Raw logits, a chunk of the vocabulary each."""
        return list(self.raw.split(self.chunk, dim=-1))

    def log_probs(self, piece: Tensor) -> Tensor:
        """log p over a chunk of the vocabulary."""
        return self.transform.finished(piece) - self.norm[:, None]


def _statistics(
    first: _View, second: _View | None, tokens: Tensor, signals: Collection[str]
) -> dict[str, Tensor]:
    """Every number of one tile."""
    found = {"log_prob": first.log_prob(tokens)}
    if second is not None:
        found["other_log_prob"] = second.log_prob(tokens)
        if "sampled_k3" in signals:
            found["sampled_k3"] = sampled_k3(found["log_prob"], found["other_log_prob"])
        if "top_probability_drop" in signals:
            top = first.raw.argmax(-1)
            found["top_probability_drop"] = first.log_prob(top).exp() - second.log_prob(top).exp()
    return found | _summed(first, second, [name for name in signals if name in SUMMED])


def _summed(first: _View, second: _View | None, names: list[str]) -> dict[str, Tensor]:
    """The signals that are sums over the vocabulary, chunk by chunk."""
    totals: dict[str, list[Tensor]] = {name: [] for name in names}
    if not names:
        return {}
    if second is None or names == ["entropy"]:
        second = first
    for piece, changed in zip(first.chunks(), second.chunks(), strict=True):
        log_p = first.log_probs(piece)
        log_q = log_p if second is first else second.log_probs(changed)
        for name in names:
            totals[name].append(SUMMED[name](log_p, log_q))
    return {name: torch.stack(parts).sum(0) for name, parts in totals.items()}


def _tile(weight: Tensor, views: int) -> int:
    """How many tokens fit, a multiple of 64 if it can be, which matrix products like."""
    autocast = torch.is_autocast_enabled(weight.device.type)
    size = torch.get_autocast_dtype(weight.device.type).itemsize if autocast else weight.dtype.itemsize
    fitting = min(_LONGEST_TILE, _BYTES_AT_ONCE // (views * weight.shape[0] * size))
    return max(1, fitting // _TILE_STEP * _TILE_STEP or fitting)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """`exact_kl` in fewer passes where nothing can overflow: the same sum, Σ p (exp(d) − 1 − d)."""
    difference = log_q - log_p
    low, high = torch.aminmax(difference)
    if torch.is_grad_enabled() or not bool((low > -_FAR) & (high < _FAR)):
        return exact_kl(log_p, log_q)
    return _dot(torch.expm1(difference).sub_(difference), log_p.exp())


def _entropy(log_p: Tensor, log_q: Tensor) -> Tensor:
    """`entropy` in fewer passes where no token is impossible."""
    if torch.is_grad_enabled() or not bool(log_p.amin() > -torch.inf):
        return entropy(log_p)
    return -_dot(log_p.exp(), log_p)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Over the last dimension, in the tensors' own precision: autocast would take half of it."""
    with torch.autocast(a.device.type, enabled=False):
        return torch.linalg.vecdot(a, b)


def _names(signals: Collection[str], other_hidden: Tensor | None) -> list[str]:
    views = ["log_prob"] if other_hidden is None else ["log_prob", "other_log_prob"]
    return [*views, *signals]


def _check(signals: Collection[str], other_hidden: Tensor | None) -> None:
    known_names(
        "signal of the next-token distribution",
        signals,
        [name for name, signal in SIGNALS.items() if signal.reads != "hidden"],
    )
    if other_hidden is None:
        for name in signals:
            if SIGNALS[name].compares_views:
                raise UserError(f"signal {name} compares two views; other_hidden is None")
