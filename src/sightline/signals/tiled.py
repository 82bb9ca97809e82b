"""Per-token numbers straight from hidden states, tile by tile.

The logits of a few tokens `[tile, V]`, in the head's dtype, are the largest tensor that ever exists;
`[B, T, V]` never does, and float32 copies are as wide as one chunk of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UserError
from ..value_checks import known_names
from .distribution import Distribution, Logits, Words
from .table import SIGNALS, Signal, signal

_BYTES_AT_ONCE = {"cpu": 40_000_000}
_MORE_BYTES_AT_ONCE = 120_000_000
"""Logits of a tile, both views, take up to this; on a GPU more, whose products want more tokens at once."""
_LONGEST_TILE = 1024
_TILE_STEP = 64
_CHUNK = {"cpu": 8192}
_LARGE_CHUNK = 65536
_CHUNK_BYTES = {"cpu": 16 << 20}
"""Float32 copies of a tile's chunk take up to this on a CPU; a GPU keeps its large ones."""


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
    time; where None they are chosen to fit about 90 MB on a CPU, 200 MB elsewhere. Gradients follow the
    caller's mode; under grad every tile is kept, so score under `torch.no_grad()`.
    Raises `UserError` for an unknown signal, one read from hidden states, or a missing second view.
    """
    _check(signals, other_hidden)
    tile = tile or _tile(head_weight, 1 if other_hidden is None else 2)
    transform = Logits(head_weight, head_bias, logit_scale, softcap, temperature)
    chunk = chunk or _chunk(hidden.device.type, tile)

    def run(part: slice) -> dict[str, Tensor]:  # its logits are gone before the next ones are made
        first = Distribution.of(hidden[part], transform, chunk)
        second = None if other_hidden is None else Distribution.of(other_hidden[part], transform, chunk)
        found = _statistics(first, second, token_ids[part], signals)
        return found if banned_ids is None else found | {"banned_mass": first.mass(banned_ids)}

    tiles = [run(slice(start, start + tile)) for start in range(0, len(token_ids), tile)]
    names = _names(signals, other_hidden) + (["banned_mass"] if banned_ids is not None else [])
    empty = hidden.new_zeros(0, dtype=torch.float32)
    return {name: torch.cat([found[name] for found in tiles]) if tiles else empty for name in names}


def _statistics(
    first: Distribution, second: Distribution | None, tokens: Tensor, signals: Collection[str]
) -> dict[str, Tensor]:
    """Every number of one tile."""
    found = {"log_prob": first.log_prob(tokens)}
    if second is not None:
        found["other_log_prob"] = second.log_prob(tokens)
    chosen = [signal(name) for name in signals]
    given = {
        "log_probs": list(found.values()),
        "distribution": [first] if second is None else [first, second],
    }
    for row in chosen:
        if row.reads in given:
            seen = given[row.reads] if row.compares_views else given[row.reads][:1]
            found[row.name] = row.formula(*seen)
    return found | _summed(first, second, [row for row in chosen if row.reads == "vocabulary"])


def _summed(first: Distribution, second: Distribution | None, rows: list[Signal]) -> dict[str, Tensor]:
    """The signals that are sums over the vocabulary, part by part."""
    totals: dict[str, list[Tensor]] = {row.name: [] for row in rows}
    if not rows:
        return {}
    compared = second if any(row.compares_views for row in rows) else None
    pieces = first.parts()
    changed = [None] * len(pieces) if compared is None else compared.parts()
    for piece, other in zip(pieces, changed, strict=True):
        log_q = None if compared is None or other is None else compared.part(other)
        words = Words(first.part(piece), log_q)
        for row in rows:
            totals[row.name].append(row.formula(words))
    return {name: torch.stack(parts).sum(0) for name, parts in totals.items()}


def _tile(weight: Tensor, views: int) -> int:
    """How many tokens fit, a multiple of 64 if it can be, which matrix products like."""
    device = weight.device.type
    autocast = torch.is_autocast_enabled(device)
    size = torch.get_autocast_dtype(device).itemsize if autocast else weight.dtype.itemsize
    most = _BYTES_AT_ONCE.get(device, _MORE_BYTES_AT_ONCE)
    fitting = min(_LONGEST_TILE, most // (views * weight.shape[0] * size))
    return max(1, fitting // _TILE_STEP * _TILE_STEP or fitting)


def _chunk(device: str, tile: int) -> int:
    """How many words of the vocabulary float32 work takes at once."""
    most = _CHUNK.get(device, _LARGE_CHUNK)
    return max(1, min(most, _CHUNK_BYTES[device] // (4 * tile))) if device in _CHUNK_BYTES else most


def _names(signals: Collection[str], other_hidden: Tensor | None) -> list[str]:
    views = ["log_prob"] if other_hidden is None else ["log_prob", "other_log_prob"]
    return [*views, *signals]


def _check(signals: Collection[str], other_hidden: Tensor | None) -> None:
    known_names(
        "signal of the next-token distribution",
        [name.partition("@")[0] for name in signals],
        [name for name, row in SIGNALS.items() if row.reads != "hidden"],
    )
    if other_hidden is None:
        for name in signals:
            if signal(name).compares_views:
                raise UserError(f"signal {name} compares two views; other_hidden is None")
