"""Freezes the vision tower."""

from __future__ import annotations

from typing import Any

from ..errors import UserError


def freeze_vision(model: Any) -> int:
    """Freeze the vision tower (for the Qwen families its merger included); returns how many weights that is.

    Adapters inside the tower are frozen with it.

    Raises:
        UserError: the model has no vision tower of its own.
    """
    tower = vision_tower(model)
    tower.requires_grad_(False)
    return sum(parameter.numel() for parameter in tower.parameters())


def vision_tower(model: Any) -> Any:
    """The part of a model that images go through first.

    Raises:
        UserError: the model has no vision tower of its own.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    tower = base.get_encoder(modality="image")
    if tower in (base, base.base_model):
        raise UserError(f"freeze_vision: {type(base).__name__} has no vision tower of its own; leave it out")
    return tower
