"""A method's objective under the names that settings have on every engine, which are TRL's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..methods import Method
from ..objectives import Objective

LOSS_TYPES = {"token_mean": "dapo", "sequence_mean": "grpo", "fixed_length": "dr_grpo"}
"""An objective's aggregation -> `loss_type`."""


def objective_settings(objective: Objective) -> dict[str, Any]:
    """The settings that a method's objective sets."""
    return {
        "epsilon": objective.clip_low,
        "epsilon_high": objective.clip_high,
        "delta": objective.dual_clip,
        "importance_sampling_level": objective.ratio,
        "loss_type": LOSS_TYPES[objective.aggregation],
        "scale_rewards": objective.scale_advantages,
        "beta": objective.reference_kl,
    }


def describe_method(
    method: Method, wanted: Mapping[str, Any], settings: Any, set_by: Mapping[str, str]
) -> str:
    """One line: what the method set (`wanted`), what overrode it, and which groups make room."""
    parts = []
    for name, value in wanted.items():
        source, given = set_by[name], getattr(settings, name)
        parts.append(
            f"{name} {given}" if source == "method" else f"{name} {given} (by {source}, not {value})"
        )
    return f"method {method.name} sets: {', '.join(parts)}{_selection(method, settings.max_rounds)}"


def _selection(method: Method, rounds: int) -> str:
    groups = method.objective.informative_groups
    if groups is None:
        return ""
    wanted = f"mean {groups.key} is not between {groups.low} and {groups.high}"
    if rounds < 2:
        return f"; groups whose {wanted} stay (max_rounds 1)"
    return f"; replaces groups whose {wanted}, in up to {rounds} rounds a batch (max_rounds)"
