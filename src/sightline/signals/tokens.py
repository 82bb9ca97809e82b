"""Per-token numbers straight from hidden states, one tile of tokens at a time.

The logits of a tile `[tile, V]` are the largest tensor that ever exists; `[B, T, V]` never does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UserError
from ..options import known_names
from .dependency import entropy, exact_kl, jensen_shannon, sampled_k3, top_probability_drop
from .table import SIGNALS

BETWEEN_VIEWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "exact_kl": exact_kl,
    "jensen_shannon": jensen_shannon,
    "top_probability_drop": top_probability_drop,
}


def token_statistics(
    hidden: Float[Tensor, "K D"],
    other_hidden: Float[Tensor, "K D"] | None,
    head_weight: Float[Tensor, "V D"],
    head_bias: Float[Tensor, " V"] | None,
    token_ids: Int[Tensor, " K"],
    temperature: float = 1.0,
    signals: Collection[str] = (),
    tile: int = 1024,
) -> dict[str, Float[Tensor, " K"]]:
    """Log-probs of the sampled tokens under both views, and the requested signals, each `[K]` float32.

    `hidden` and `other_hidden` are the states that predict the tokens, K valid tokens of any rows side
    by side; `other_hidden` is None if there is one view. The result holds "log_prob",
    "other_log_prob" (with two views) and one entry per name in `signals`. Logits are made in the
    head's dtype, divided by `temperature` and normalised in float32. Gradients follow the caller's
    mode; under grad every tile's logits are kept, so score under `torch.no_grad()`.
    Raises `UserError` for an unknown signal, one read from hidden states, or a missing second view.
    """
    _check(signals, other_hidden)
    tiles = []
    for start in range(0, len(token_ids), tile):
        part = slice(start, start + tile)
        log_p = _log_softmax(hidden[part], head_weight, head_bias, temperature)
        log_q = None
        if other_hidden is not None:
            log_q = _log_softmax(other_hidden[part], head_weight, head_bias, temperature)
        tiles.append(_statistics(log_p, log_q, token_ids[part], signals))
    names = _names(signals, other_hidden)
    empty = hidden.new_zeros(0, dtype=torch.float32)
    return {name: torch.cat([found[name] for found in tiles]) if tiles else empty for name in names}


def _log_softmax(hidden: Tensor, weight: Tensor, bias: Tensor | None, temperature: float) -> Tensor:
    logits = torch.nn.functional.linear(hidden.to(weight.dtype), weight, bias)
    return (logits.float() / temperature).log_softmax(-1)


def _statistics(
    log_p: Tensor, log_q: Tensor | None, tokens: Tensor, signals: Collection[str]
) -> dict[str, Tensor]:
    """Every number of one tile, from normalised log-probabilities `[tile, V]`."""
    found = {"log_prob": log_p.gather(-1, tokens[:, None]).squeeze(-1)}
    if log_q is not None:
        found["other_log_prob"] = log_q.gather(-1, tokens[:, None]).squeeze(-1)
    for name in signals:
        if name == "entropy":
            found[name] = entropy(log_p)
        elif name == "sampled_k3":
            found[name] = sampled_k3(found["log_prob"], found["other_log_prob"])
        elif log_q is not None:
            found[name] = BETWEEN_VIEWS[name](log_p, log_q)
    return found


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
