"""A view drawn for problems or for a batch of rollouts: the pictures that the second look sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL.Image import Image, Resampling

from ..rollouts import Rollouts
from ..views import PixelView, Swapped, generator
from .families import process_images


def draw_view(
    view: PixelView,
    pictures: Sequence[Sequence[Image]],
    sample_ids: Sequence[str],
    processor: Any,
    *,
    seed: int,
    step: int,
    draws: Sequence[int] | None = None,
) -> list[list[Image]]:
    """The pictures of each problem as `view` shows them, drawn from (seed, step, sample id, draw).

    `draws` numbers repeated drawings of one problem; all 0 by default. A problem without pictures
    keeps its empty list. A swapped view draws partners among the problems given.
    """
    shown = pictures
    if view.stage == "after_resize":
        shown = [[resized(image, processor) for image in images] for images in pictures]
    if isinstance(view, Swapped):
        return view.swap(shown, generator(seed, step, "swapped"))
    return [
        [view.apply(image, random) for image in images]
        for images, random in zip(shown, _generators(sample_ids, draws, seed, step), strict=True)
    ]


def _generators(sample_ids: Sequence[str], draws: Sequence[int] | None, seed: int, step: int) -> list[Any]:
    numbers = draws if draws is not None else [0] * len(sample_ids)
    return [generator(seed, step, name, draw) for name, draw in zip(sample_ids, numbers, strict=True)]


def viewed_images(
    view: PixelView, rollouts: Rollouts, processor: Any, *, seed: int, step: int
) -> list[list[Image]]:
    """The pictures of every row as `view` shows them: one drawing per prompt, or per rollout if the
    view asks for it."""
    names = rollouts.sample_ids or [str(group) for group in rollouts.group_ids.tolist()]
    numbers = rollouts.rollout_numbers if view.per == "rollout" else [0] * len(rollouts)
    keys = list(zip(rollouts.group_ids.tolist(), numbers, strict=True))
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    rows = sorted(first.values())
    drawn = draw_view(
        view,
        [rollouts.images[row] for row in rows],
        [names[row] for row in rows],
        processor,
        seed=seed,
        step=step,
        draws=[numbers[row] for row in rows],
    )
    by_row = dict(zip(rows, drawn, strict=True))
    return [by_row[first[key]] for key in keys]


def resized(image: Image, processor: Any) -> Image:
    """`image` at the size the processor will feed to the model, so that patches align with its own.

    Families whose image processor cuts or tiles have no such size; their pictures stay as they are.
    """
    size = _model_size(image, processor)
    if size is None or size == image.size:
        return image
    return image.convert("RGB").resize(size, Resampling.BICUBIC)


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
