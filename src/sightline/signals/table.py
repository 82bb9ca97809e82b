"""The signals by name: what each compares, what it is computed from, and how it becomes a score ≥ 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..value_checks import known_names


def _unchanged(values: Tensor) -> Tensor:
    return values


def _cosine_to_unit(values: Tensor) -> Tensor:
    """ρ = (S + 1)/2, VGPO Eq. 4."""
    return ((values + 1) / 2).clamp(0, 1)


def _positive_part(values: Tensor) -> Tensor:
    return values.clamp(min=0)


@dataclass(frozen=True)
class Signal:
    """What one signal measures at a token; the numbers themselves come from the functions beside it."""

    name: str
    compares_views: bool
    """Whether it needs the second view (the image taken away) beside the first."""
    reads: Literal["log_probs", "distribution", "hidden"]
    """Computed from the sampled tokens' log-probs, from the full next-token distribution, or from
    hidden states."""
    low: float
    high: float
    """The range of its values."""
    score: Callable[[Tensor], Tensor] = _unchanged
    """Its values as scores ≥ 0, which every shaping reads."""


SIGNALS: dict[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal("sampled_k3", True, "log_probs", 0.0, torch.inf),
        Signal("exact_kl", True, "distribution", 0.0, torch.inf),
        Signal("jensen_shannon", True, "distribution", 0.0, torch.inf),
        Signal("top_probability_drop", True, "distribution", -1.0, 1.0, _positive_part),
        Signal("entropy", False, "distribution", 0.0, torch.inf),
        Signal("visual_focus", False, "hidden", -1.0, 1.0, _cosine_to_unit),
    )
}


def signal(name: str) -> Signal:
    """The signal of that name; `UserError` with the nearest names if there is none."""
    known_names("signal", [name], SIGNALS)
    return SIGNALS[name]
