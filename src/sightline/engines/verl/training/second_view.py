"""The second view inside the training forward, for methods that differentiate it."""

from __future__ import annotations

from typing import Any

from ....errors import UserError
from ....models.draw_views import viewed_images
from ....models.families import (
    concatenate,
    image_features_inputs,
    image_token_id,
    process_images,
    unmasked_layers,
)
from ....views import PixelView, View
from .rows import real_rows, rollouts_of


def second_view_inputs(
    view: View, model: Any, inputs: dict[str, Any], micro_batch: Any, processor: Any, *, seed: int, step: int
) -> dict[str, Any]:
    """The inputs of the second forward: those of the first, with the image taken away.

    Drawn per sample and rollout, so that it is the same view whatever the micro-batch holds.

    Raises:
        UserError: image tokens are to be hidden from attention, and verl packs rows without a mask of it, or
            the model has layers that a mask does not reach.
    """
    if not isinstance(view, PixelView):
        if inputs.get("attention_mask") is None:
            raise UserError(
                f"the {view.name} view cannot be differentiated over packed rows; "
                "give -- actor_rollout_ref.model.use_remove_padding=False"
            )
        if kinds := unmasked_layers(model):
            raise UserError(
                f"the {view.name} view cannot be differentiated with verl where a mask does not reach every "
                f"layer, and {model.config.model_type} has {', '.join(sorted(kinds))}; use the trl engine, "
                "or a view that changes pixels"
            )
        is_image = inputs["input_ids"] == image_token_id(model.config)
        return {**inputs, "attention_mask": inputs["attention_mask"].masked_fill(is_image, 0)}
    rollouts = rollouts_of(micro_batch, real_rows(micro_batch))
    drawn = viewed_images(view, rollouts, processor, seed=seed, step=step)
    seen: dict[int, dict[str, Any]] = {}
    for images in drawn:
        if id(images) not in seen and images:
            seen[id(images)] = image_features_inputs(model, process_images(processor, images))
    rows = [seen[id(images)] for images in drawn if images]
    device = inputs["input_ids"].device
    return {**inputs, **{name: value.to(device) for name, value in concatenate(rows).items()}}
