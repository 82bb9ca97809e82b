"""A view drawn for a batch of rollouts: the pictures that the second look sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL.Image import Image, Resampling

from ..rollouts import Rollouts
from ..views import View, generator
from .families import process_images


def viewed_images(view: View, rollouts: Rollouts, processor: Any, seed: int, step: int) -> list[list[Image]]:
    """The pictures of every row as `view` shows them, drawn from (seed, step, sample id).

    One drawing per prompt, or one per rollout if the view asks for it. A text-only row keeps its
    empty list.
    """
    drawn: dict[Any, list[Image]] = {}
    rows = []
    for row, (group, images) in enumerate(zip(rollouts.group_ids.tolist(), rollouts.images, strict=True)):
        sample = rollouts.sample_ids[row] if rollouts.sample_ids else str(group)
        key = (group, row) if view.per == "rollout" else group
        if key not in drawn:
            random = generator(seed, step, sample, row if view.per == "rollout" else 0)
            shown = (
                [resized(image, processor) for image in images] if view.stage == "after_resize" else images
            )
            drawn[key] = [view.apply(image, random) for image in shown]
        rows.append(drawn[key])
    return rows


def resized(image: Image, processor: Any) -> Image:
    """`image` at the size the processor will feed to the model, so that patches align with its own.

    Families whose image processor cuts or tiles have no such size; their pictures stay as they are.
    """
    size = _model_size(image, processor)
    return (
        image if size is None or size == image.size else image.convert("RGB").resize(size, Resampling.BICUBIC)
    )


def _model_size(image: Image, processor: Any) -> tuple[int, int] | None:
    patch = getattr(processor.image_processor, "patch_size", None)
    grid = process_images(processor, [image.convert("RGB")]).get("image_grid_thw")
    if grid is not None and isinstance(patch, int):
        return int(grid[0, 2]) * patch, int(grid[0, 1]) * patch
    size: Any = getattr(processor.image_processor, "size", None) or {}
    wanted: Sequence[int | None] = (size.get("width"), size.get("height"))
    if getattr(processor.image_processor, "do_image_splitting", False) or None in wanted:
        return None
    return int(wanted[0] or 0), int(wanted[1] or 0)
