"""Which modules of a model adapters sit on, in words for the start of a run."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ..errors import UserError
from .freezing import vision_tower


def describe_adapters(model: Any) -> str | None:
    """One line: how many modules of which part of the model are adapted, and what of it is frozen; None for a
    model without adapters."""
    if not hasattr(model, "get_base_model"):
        return None
    parts: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    base = model.get_base_model()
    tower = _tower_name(base)
    if tower is not None:
        parts[tower] = {}
    for name, module in base.named_modules():
        if hasattr(module, "base_layer") and hasattr(module, "active_adapters"):
            inside = tower is not None and f".{name}.".find(f".{tower}.") >= 0
            trained = any(parameter.requires_grad for parameter in module.parameters())
            parts[tower if inside and tower else _part(name)][name] = trained
    return "adapters on " + ", ".join(_said(name, found) for name, found in sorted(parts.items()))


def _tower_name(base: Any) -> str | None:
    """The last part of the vision tower's name, such as `visual`; None for a model without one."""
    try:
        tower = vision_tower(base)
    except UserError:
        return None
    return next((name.rpartition(".")[2] for name, one in base.named_modules() if one is tower), None)


def _part(name: str) -> str:
    """The part of a model that a module lies in: `language_model` of `model.language_model.layers.0`."""
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] if first in ("model", "base_model") and rest else first


def _said(part: str, found: dict[str, bool]) -> str:
    if not found:
        return f"none of {part}"
    kinds = sorted({name.rpartition(".")[2] for name in found})
    frozen = "" if any(found.values()) else ", all frozen"
    return f"{len(found)} modules of {part} ({', '.join(kinds)}{frozen})"
