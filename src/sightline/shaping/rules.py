"""The shapings and adjustments by name, with the options each needs and their ranges.

A shaping turns scores ≥ 0 into weights ≥ 0, an adjustment turns scores into scores. Both are named
here so that a method can be written down as plain data.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor

from .. import masked
from ..errors import UserError
from ..value_checks import LARGEST, Check, between, check_options, known_names, one_of, switch
from .bonuses import advantage_bonus, bonus_statistics, check_caps
from .compensation import SCHEDULES, batch_min_max, late_compensation
from .gates import gated_range, gated_softmax, gated_statistics
from .mass import gate_statistics, importance_range, mass_conserving_gate, quantile_gate
from .selection import FORMS, batch_top_shares, joint_fraction, joint_statistics
from .tokens import centered_token_weights, saturated, top_fraction, top_fraction_union, top_mass
from .trajectories import (
    centered_rollout_weights,
    group_range,
    robust_rollout_scale,
    trajectory_range,
    trajectory_statistics,
    trajectory_weights,
)

CONTEXT = ("advantages", "progress", "noisy")
"""What a rule may read beside scores and mask, by naming it as a keyword of its function: the advantages,
float [B]; how far training has come, optimizer step / max_steps in [0, 1]; which rows are noisy, bool [B]."""


@dataclass(frozen=True)
class Rule:
    """A pure function of scores and mask, what it needs to be told, and what can make it constant."""

    function: Callable[..., Tensor]
    checks: Mapping[str, Check] = field(default_factory=dict)
    """Options that must be given, with their checks."""
    optional: Mapping[str, Check] = field(default_factory=dict)
    """Options that may be left out."""
    measured: bool = False
    """Whether it takes signals as they were measured, not as scores ≥ 0: an adjustment that comes first, or a
    shaping that none comes before."""
    inputs: int = 1
    """How many different scores it reads."""
    spread: Callable[..., Tensor] | None = None
    """The range `[B]` that is compared with `min_range`; None if there is no min-max."""
    statistics: Callable[..., dict[str, float]] | None = None
    """Numbers of its own worth logging."""
    together: Callable[..., None] | None = None
    """Raises for options that do not go together."""
    metrics: str = ""
    """What its numbers are logged under; its name where empty."""

    @property
    def reads(self) -> frozenset[str]:
        """What of `CONTEXT` its function has to be given."""
        return frozenset(inspect.signature(self.function).parameters) & frozenset(CONTEXT)


@dataclass(frozen=True)
class Step:
    """One rule with its options filled in: plain data that can be applied."""

    name: str
    options: dict[str, Any]
    signals: tuple[str, ...] = ()
    """Names of the signals it reads, for a shaping; an adjustment takes whatever it is given."""

    @property
    def rule(self) -> Rule:
        """The table's entry for this name."""
        return {**SHAPINGS, **ADJUSTMENTS}[self.name]

    def __call__(self, *scores: Tensor, **context: Any) -> Float[Tensor, "B T"]:
        """Weights (or scores) `[B, T]`; `context` is mask, group_ids and min_range."""
        return _call(self.rule.function, scores, context, self.options)

    def spread(self, *scores: Tensor, **context: Any) -> Tensor | None:
        """The range `[B]` that the rule compares with `min_range`, or None."""
        return _call(self.rule.spread, scores, context, self.options) if self.rule.spread else None

    def statistics(self, *scores: Tensor, **context: Any) -> dict[str, float]:
        """The rule's own numbers, by name."""
        return _call(self.rule.statistics, scores, context, self.options) if self.rule.statistics else {}

    def plain(self) -> dict[str, Any]:
        """The step as plain data, from which `shaping` or `adjustment` builds it again."""
        signals = {"signal": self.signals[0] if len(self.signals) == 1 else list(self.signals)}
        return {"name": self.name, **(signals if self.signals else {}), **self.options}


def _call(
    function: Callable[..., Any],
    scores: tuple[Tensor, ...],
    context: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:
    """Call with the part of `context` and of `options` that the function takes."""
    takes = inspect.signature(function).parameters
    given = {name: value for name, value in {**context, **options}.items() if name in takes}
    return function(*scores, **given)


_KEEP = between(0, 1, above=True)
_ROWS = between(1, 10**9, whole=True, optional=True)
_FACTOR = between(0, LARGEST)
_CLAMP = {"low": _FACTOR, "high": _FACTOR}
_GATE = {"threshold": between(0, 1), "boost": _FACTOR}

SHAPINGS: dict[str, Rule] = {
    "top_fraction": Rule(top_fraction, {"keep": _KEEP}),
    "top_fraction_union": Rule(top_fraction_union, {"keep": _KEEP, "other_keep": _KEEP}, inputs=2),
    "top_mass": Rule(top_mass, {"share": _KEEP}, spread=masked.row_range),
    "saturated": Rule(saturated, {"level": between(0, LARGEST, above=True)}, {"floor": between(0, 1)}),
    "centered_token_weights": Rule(centered_token_weights, {}, _CLAMP, spread=masked.row_range),
    "centered_rollout_weights": Rule(
        centered_rollout_weights, {}, {**_CLAMP, "scale_rows": switch}, spread=group_range
    ),
    "robust_rollout_scale": Rule(robust_rollout_scale, {}, {"strength": between(0, 1)}),
    "gated_softmax": Rule(
        gated_softmax,
        {"gate": _FACTOR, "temperature": between(0, LARGEST, above=True), "ramp": switch},
        measured=True,
        inputs=2,
        spread=gated_range,
        statistics=gated_statistics,
    ),
    "batch_top_shares": Rule(
        batch_top_shares,
        {
            "share": between(0, 1),
            "other_share": between(0, 1),
            "weight": _FACTOR,
            "other_weight": _FACTOR,
        },
        inputs=2,
    ),
    "joint_fraction": Rule(
        joint_fraction,
        {"keep": _KEEP, "balance": between(0, 1), "form": one_of(*FORMS), "over_batch": switch},
        inputs=3,
        statistics=joint_statistics,
        metrics="vepo",
    ),
    "advantage_bonus": Rule(
        advantage_bonus,
        {
            "entropy_scale": _FACTOR,
            "entropy_cap": between(0, LARGEST, above=True),
            "divergence_scale": _FACTOR,
            "divergence_cap": between(0, LARGEST, above=True),
            "in_sequence": switch,
        },
        inputs=2,
        statistics=bonus_statistics,
        together=check_caps,
    ),
    "trajectory_weights": Rule(
        trajectory_weights,
        {"scale_min": _FACTOR, "scale_max": between(0, LARGEST, optional=True)},
        {"minibatch": _ROWS, "microbatch": _ROWS},
        spread=trajectory_range,
        statistics=trajectory_statistics,
    ),
    "mass_conserving_gate": Rule(
        mass_conserving_gate, _GATE, spread=importance_range, statistics=gate_statistics
    ),
    "quantile_gate": Rule(quantile_gate, {**_GATE, "floor": _FACTOR}, spread=importance_range),
}

ADJUSTMENTS: dict[str, Rule] = {
    "late_compensation": Rule(
        late_compensation,
        {
            "strength": _FACTOR,
            "tail": between(0, 1),
            "top": between(0, 1),
            "schedule": one_of(*SCHEDULES),
            "gate": switch,
        },
        {"from_zero": switch},
    ),
    "batch_min_max": Rule(batch_min_max, {}, {"padding_as_zero": switch}, measured=True),
}


def shaping(name: str, signal: str | list[str] | tuple[str, ...], **options: Any) -> Step:
    """A shaping by its name in `SHAPINGS`, reading `signal` (several for a union), with its options.

    Raises `UserError` for an unknown name or option, one left out, or a value out of range.
    """
    signals = tuple(signal) if isinstance(signal, (list, tuple)) else (signal,)
    known_names("shaping", [name], SHAPINGS)
    if wrong := [one for one in signals if not isinstance(one, str)]:
        raise UserError(f"{name}: a signal is named, as signal='exact_kl', got {wrong[0]!r}")
    rule = SHAPINGS[name]
    if len(signals) != rule.inputs:
        raise UserError(f"{name} reads {rule.inputs} signal(s), got {len(signals)}: {', '.join(signals)}")
    return Step(name, _checked(name, rule, options), signals)


def adjustment(name: str, **options: Any) -> Step:
    """An adjustment by its name in `ADJUSTMENTS`, with its options; raises `UserError` as `shaping`."""
    known_names("adjustment", [name], ADJUSTMENTS)
    return Step(name, _checked(name, ADJUSTMENTS[name], options))


def _checked(name: str, rule: Rule, options: dict[str, Any]) -> dict[str, Any]:
    used = {option: check for option, check in rule.optional.items() if option in options}
    known_names(f"option of {name}", options, {**rule.checks, **rule.optional})
    checked = check_options(name, options, {**rule.checks, **used})
    if rule.together is not None:
        _call(rule.together, (), {}, checked)
    low, high = checked.get("scale_min", 0.0), checked.get("scale_max", math.inf)
    if high is None and low > 1:
        raise UserError(f"{name}: scale_min must be in [0, 1] with the dynamic upper bound, got {low}")
    if high is not None and low > high:
        raise UserError(f"{name}: scale_max must be at least scale_min = {low}, got {high}")
    if (low := checked.get("low", 0.0)) > (high := checked.get("high", LARGEST)):
        raise UserError(f"{name}: high must be at least low = {low}, got {high}")
    return checked
