"""The second view inside the training forward, for methods that differentiate it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ....models.draw_views import viewed_images
from ....models.families import (
    concatenate,
    image_features_inputs,
    image_token_id,
    positions,
    process_images,
    type_ids,
    unmasked_layers,
    without_tokens,
)
from ....rollouts import Rollouts
from ....views import PixelView, View
from .image_sharing import VISION

_PREFIX = "second_view_"


def second_view_rows(
    view: View, rollouts: Rollouts, model: Any, processor: Any, *, seed: int, step: int
) -> dict[str, list[Tensor]]:
    """Vision inputs of the second view, one tensor per row and name, which survive TRL's shuffle.

    Empty for a view that only hides image tokens from attention.
    """
    if not isinstance(view, PixelView):
        return {}
    processed: dict[int, dict[str, Tensor]] = {}
    rows = []
    for images in viewed_images(view, rollouts, processor, seed=seed, step=step):
        if id(images) not in processed:
            processed[id(images)] = image_features_inputs(model, process_images(processor, images))
        rows.append(processed[id(images)])
    names = dict.fromkeys(name for row in rows for name in row)
    return {_PREFIX + name: [row.get(name, torch.empty(0)) for row in rows] for name in names}


def second_view_inputs(
    view: View, model: Any, inputs: Mapping[str, Tensor], batch: Mapping[str, Any]
) -> dict[str, Any]:
    """The inputs of the second forward: those of the first, with the image taken away."""
    if isinstance(view, PixelView):
        names = [name for name in batch if name.startswith(_PREFIX)]
        rows = [
            {name.removeprefix(_PREFIX): batch[name][row] for name in names if batch[name][row].numel()}
            for row in range(len(inputs["input_ids"]))
        ]
        device = inputs["input_ids"].device
        return {**inputs, **{name: value.to(device) for name, value in concatenate(rows).items()}}
    is_image = inputs["input_ids"] == image_token_id(model.config)
    attention = inputs["attention_mask"]
    kept = {"position_ids": positions(model, inputs["input_ids"], attention, dict(inputs))}
    if not unmasked_layers(model):
        return {**inputs, **kept, "attention_mask": attention.masked_fill(is_image, 0)}
    text = without_tokens({**inputs, **kept}, is_image)
    types = {name: torch.zeros_like(text["input_ids"]) for name in type_ids(model, text["input_ids"])}
    return {name: value for name, value in text.items() if name not in VISION} | types


class TwoForwards:
    """Stands in for the model in TRL's log-prob function: both views in one wrapped forward.

    Called as the model is, it returns the first view's output and keeps the second's log-probs.
    """

    def __init__(
        self, model: Any, plain: Callable[..., Any], second: Callable[[Any, dict[str, Any]], dict[str, Any]]
    ):
        self.model, self.plain, self.second = model, plain, second
        self.other_log_probs: Tensor | None = None

    def __call__(self, **inputs: Any) -> Any:
        first, other = self.model(
            inside=lambda model: (self.plain(**inputs), self.plain(**self.second(model, inputs)))
        )
        self.other_log_probs = other.log_probs
        return first
