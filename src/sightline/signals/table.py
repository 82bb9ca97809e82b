"""The signals by name: what each reads, its formula, and how its values become scores ≥ 0.

A signal is one function and one row here; the scoring pass and the pages learn of it from the row. A package
of your own adds rows the same way: `SIGNALS["mine"] = Signal("mine", ..., formula=mine)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import UserError, unknown_name
from ..value_checks import Check, between, known_names
from . import dependency, focus, nucleus, sums
from .distribution import Distribution

READS = ("log_probs", "vocabulary", "distribution", "hidden")


def _unchanged(values: Tensor) -> Tensor:
    return values


def _cosine_to_unit(values: Tensor) -> Tensor:
    """ρ = (S + 1)/2, VGPO Eq. 4."""
    return ((values + 1) / 2).clamp(0, 1)


def _positive_part(values: Tensor) -> Tensor:
    return values.clamp(min=0)


@dataclass(frozen=True)
class Signal:
    """What one signal measures at a token."""

    name: str
    compares_views: bool
    """Whether it needs the second view (the image taken away) beside the first."""
    reads: Literal["log_probs", "vocabulary", "distribution", "hidden"]
    """What the formula is given:

    - "log_probs": log p of the sampled token under the first view, then under the second, both [K].
    - "vocabulary": `Words`, log p and log q over one part of the vocabulary; a sum over words, of which
      the parts add up.
    - "distribution": the `Distribution` of each view, for what does not add up.
    - "hidden": states [R, T, D] at the tokens' own positions, and what `image` made of the image's [R, D].

    Those that compare no views are given the first view only. All give one number a token.
    """
    low: float
    high: float
    """The range of its values."""
    score: Callable[[Tensor], Tensor] = _unchanged
    """Its values as scores ≥ 0, which shapings read."""
    formula: Callable[..., Tensor] = field(kw_only=True)
    image: Callable[[Tensor, Tensor], Tensor] | None = None
    """For "hidden": the prompt's states [n, P, D] and where its image tokens are [n, P] -> [n, D]."""
    every_layer: bool = False
    """For "hidden": whether the formula's mean over all layers is the value, embeddings included."""
    parameter: tuple[str, Check] | None = None
    """A keyword of the formula that a name may fill, as `top_p_entropy@0.9`, and its check."""
    stands_for: str | None = None
    """The signal that it is a cheaper stand-in for, under whose name its scores may be given too."""

    def __post_init__(self) -> None:
        if self.reads not in READS:
            raise unknown_name(f"signal {self.name} reads", str(self.reads), READS)
        if self.reads == "hidden" and self.image is None:
            raise UserError(f"signal {self.name} reads hidden states: give `image`, as image=image_state")
        if self.reads != "hidden" and (self.image is not None or self.every_layer):
            raise UserError(f"signal {self.name} reads no hidden states; leave image and every_layer out")


def _top_probability_drop(first: Distribution, second: Distribution) -> Tensor:
    """`dependency.top_probability_drop`, without the rest of the vocabulary."""
    top = first.likeliest()
    return first.log_prob(top).exp() - second.log_prob(top).exp()


_NATS: dict[str, Any] = {"low": 0.0, "high": torch.inf}
_COSINE: dict[str, Any] = {"low": -1.0, "high": 1.0, "score": _cosine_to_unit}

SIGNALS: dict[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal("sampled_k3", True, "log_probs", **_NATS, formula=dependency.sampled_k3),
        Signal("abs_log_ratio", True, "log_probs", **_NATS, formula=dependency.abs_log_ratio),
        Signal(
            "sampled_entropy_term", False, "log_probs", **_NATS,
            formula=dependency.sampled_entropy_term, stands_for="entropy",
        ),
        Signal(
            "sampled_symmetric", True, "log_probs", -1e-6, torch.inf, _positive_part,
            formula=dependency.sampled_symmetric, stands_for="symmetric_kl",
        ),
        Signal("exact_kl", True, "vocabulary", **_NATS, formula=sums.exact_kl),
        Signal("symmetric_kl", True, "vocabulary", **_NATS, formula=sums.symmetric_kl),
        Signal("jensen_shannon", True, "vocabulary", **_NATS, formula=sums.jensen_shannon),
        Signal("entropy", False, "vocabulary", **_NATS, formula=sums.entropy),
        Signal("other_entropy", True, "vocabulary", **_NATS, formula=sums.other_entropy),
        Signal(
            "top_p_entropy", False, "distribution", **_NATS,
            formula=nucleus.tiled_top_p_entropy, parameter=("top_p", between(0, 1, above=True)),
        ),
        Signal(
            "top_probability_drop", True, "distribution", -1.0, 1.0, _positive_part,
            formula=_top_probability_drop,
        ),
        Signal(
            "visual_focus", False, "hidden", **_COSINE,
            formula=focus.visual_focus, image=focus.image_state,
        ),
        Signal(
            "hidden_similarity", False, "hidden", **_COSINE,
            formula=focus.hidden_similarity, image=focus.mean_direction, every_layer=True,
        ),
    )
}  # fmt: skip


def signal(reference: str) -> Signal:
    """The signal of a name; `UserError` with the nearest names if there is none.

    `name@0.9` is the signal with its parameter filled, and `name/view` the one that compares that view of
    several.
    """
    name, _ = split_view(str(reference))
    base, _, value = name.partition("@")
    known_names("signal", [base], SIGNALS)
    found = SIGNALS[base]
    if not value:
        return found
    if found.parameter is None:
        raise UserError(f"signal {base} has no parameter, got {name}")
    option, check = found.parameter
    number = check(f"signal {base}: {option}", _number(value))
    return replace(found, name=name, formula=partial(found.formula, **{option: number}))


def split_view(reference: str) -> tuple[str, str | None]:
    """`exact_kl/noised` is ("exact_kl", "noised"); a name alone has no view."""
    name, slash, view = reference.partition("/")
    return name, view if slash else None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
