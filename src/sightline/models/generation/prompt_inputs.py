"""Distinct prompts as one view shows them: everything a backbone takes before the first response token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from ..families import (
    concatenate,
    drops_image_tokens,
    image_features_inputs,
    image_token_id,
    positions,
    process_prompts,
    type_ids,
)


@dataclass(frozen=True)
class Prompts:
    """n distinct prompts side by side, padded on the left to P."""

    input_ids: Tensor
    """int64 [n, P]."""
    attention_mask: Tensor
    """int64 [n, P], 0 on padding and on hidden tokens."""
    position_ids: Tensor
    """int64 [n, P], or [3, n, P] with multimodal rotary positions."""
    types: dict[str, Tensor]
    """Token types [n, P] where the family takes them."""
    vision: dict[str, Tensor]
    """Vision inputs of all n prompts; empty if nothing is to be seen."""
    next_position: Tensor
    """int64 [n], the position of the first response token."""

    def __len__(self) -> int:
        return len(self.input_ids)

    def without_images(self, rows: Tensor) -> Prompts:
        """The prompts `rows` [m] with their image tokens, but with nothing to be seen."""
        types = {name: value[rows] for name, value in self.types.items()}
        return Prompts(
            self.input_ids[rows],
            self.attention_mask[rows],
            self.position_ids[..., rows, :],
            types,
            {},
            self.next_position[rows],
        )

    @property
    def inputs(self) -> dict[str, Tensor]:
        """Keyword arguments of the backbone's forward."""
        named = {name: getattr(self, name) for name in ("input_ids", "attention_mask", "position_ids")}
        return {**named, **self.types, **self.vision}


@dataclass(frozen=True)
class ProcessedImages:
    """Processed images of n prompts."""

    vision: dict[str, Any]
    counts: list[int]
    """How many image tokens each prompt's images take."""


def process(
    model: PreTrainedModel,
    processor: Any,
    prompts: Sequence[Sequence[Any]],
    owners: Sequence[int] | None = None,
) -> ProcessedImages:
    """Images of n prompts, each processed once; nothing here touches the device.

    With `owners`, those of the prompts it lists instead, in its order and as often as it says.
    """
    if owners is None:
        processed, ids = process_prompts(processor, prompts)
        counts = (ids == image_token_id(model.config)).sum(1).tolist()
        return ProcessedImages(image_features_inputs(model, processed), counts)
    alone = [process(model, processor, [images]) for images in prompts]
    return ProcessedImages(
        concatenate([alone[owner].vision for owner in owners]), [alone[owner].counts[0] for owner in owners]
    )


def shown_prompts(
    model: PreTrainedModel, ids: Tensor, mask: Tensor, images: ProcessedImages, names: Sequence[str] = ()
) -> Prompts:
    """Prompts with their images; `names` are what an error calls them.

    Raises:
        ValueError: a prompt holds another number of image tokens than its images take.
    """
    held_by_each = image_tokens(model, ids, mask)
    for row, (held, taken) in enumerate(zip(held_by_each, images.counts, strict=True)):
        if held != taken:
            name = names[row] if names else f"number {row}"
            raise ValueError(
                f"the prompt of problem {name} holds {held} image tokens, but its images take {taken}; "
                "was it cut, or made with another processor?"
            )
    return make_prompts(model, ids, mask, images.vision)


def image_tokens(model: PreTrainedModel, ids: Tensor, mask: Tensor) -> list[int]:
    """How many image tokens each of n prompts holds."""
    return ((ids == image_token_id(model.config)) & mask.bool()).sum(1).tolist()


def make_prompts(model: PreTrainedModel, ids: Tensor, mask: Tensor, vision: dict[str, Any]) -> Prompts:
    """Prompts padded on the left, with their vision inputs; columns of padding alone are cut off."""
    start = int((mask.cumsum(1) == 0).all(0).sum())
    ids, mask = ids[:, start:], mask[:, start:]
    vision = {name: value.to(ids.device) for name, value in vision.items()}
    where = positions(model, ids, mask, vision)
    furthest = where.amax(0) if where.dim() == 3 else where
    return Prompts(ids, mask, where, type_ids(model, ids), vision, furthest.amax(-1) + 1)


def without_images(model: PreTrainedModel, prompts: Prompts) -> Prompts:
    """The same prompts with every image token hidden from attention, positions kept (PGPO App. A.1).

    Where that is the same computation, or where layers would carry a hidden token on
    (`families.unmasked_layers`), the image tokens are left out of the sequence instead.
    """
    visible = prompts.attention_mask.bool() & (prompts.input_ids != image_token_id(model.config))
    if not drops_image_tokens(model):
        return replace(prompts, attention_mask=visible.long(), vision={})
    ids = _left_padded([row[kept] for row, kept in zip(prompts.input_ids, visible, strict=True)])
    mask = _left_padded([kept[kept].long() for kept in visible])
    where = prompts.position_ids
    planes = where if where.dim() == 3 else where[None]
    kept = [_left_padded([row[k] for row, k in zip(plane, visible, strict=True)]) for plane in planes]
    return Prompts(
        input_ids=ids,
        attention_mask=mask,
        position_ids=torch.stack(kept) if where.dim() == 3 else kept[0],
        types={name: torch.zeros_like(ids) for name in prompts.types},
        vision={},
        next_position=prompts.next_position,
    )


def _left_padded(rows: list[Tensor]) -> Tensor:
    return pad_sequence(rows, batch_first=True, padding_side="left")
