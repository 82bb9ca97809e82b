"""A view drawn for problems or for a batch of rollouts: the images that the second look sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from PIL.Image import Image, Resampling

from ..rollouts import Rollouts
from ..views import PixelView, Swapped, generator
from .families import process_images


def draw_view(
    view: PixelView,
    originals: Sequence[Sequence[Image]],
    sample_ids: Sequence[str],
    processor: Any,
    *,
    seed: int,
    step: int,
    draws: Sequence[int] | None = None,
) -> list[list[Image]]:
    """The images of each problem as `view` shows them, drawn from (seed, step, sample id, draw).

    `draws` numbers repeated drawings of one problem; all 0 by default. A problem without images
    keeps its empty list. A swapped view draws partners among the problems given.
    """
    shown = originals
    if view.stage == "after_resize":
        fit = _Resizer(processor)
        shown = [[fit(image) for image in images] for images in originals]
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
    """The images of every row as `view` shows them: one drawing per prompt, or per rollout if the
    view asks for it."""
    return viewer(view, rollouts, processor, seed=seed, step=step)(range(len(rollouts)))


def viewer(
    view: PixelView, rollouts: Rollouts, processor: Any, *, seed: int, step: int
) -> Callable[[Sequence[int]], list[list[Image]]]:
    """`viewed_images` for the rows that are asked for: which ones, and in what order, changes nothing."""
    names = rollouts.sample_ids or [str(group) for group in rollouts.group_ids.tolist()]
    numbers = rollouts.rollout_numbers if view.per == "rollout" else [0] * len(rollouts)
    keys = list(zip(rollouts.group_ids.tolist(), numbers, strict=True))

    def draw(rows: Sequence[int]) -> list[list[Image]]:
        first = {keys[row]: row for row in reversed(rows)}
        chosen = sorted(first.values())
        drawn = draw_view(
            view,
            [rollouts.images[row] for row in chosen],
            [names[row] for row in chosen],
            processor,
            seed=seed,
            step=step,
            draws=[numbers[row] for row in chosen],
        )
        by_row = dict(zip(chosen, drawn, strict=True))
        return [by_row[first[keys[row]]] for row in rows]

    if not isinstance(view, Swapped):
        return draw
    swapped = draw(range(len(rollouts)))  # partners are drawn among the whole batch
    return lambda rows: [swapped[row] for row in rows]


def resized(image: Image, processor: Any) -> Image:
    """`image` at the size the processor will feed to the model, so that patches align with its own.

    Families whose image processor cuts or tiles have no such size; their images stay as they are.
    """
    return _Resizer(processor)(image)


class _Resizer:
    """Resizes images as a processor does, and asks it only once for each size of image."""

    def __init__(self, processor: Any):
        self.processor = processor
        self._sizes: dict[tuple[int, int], tuple[int, int] | None] = {}

    def __call__(self, image: Image) -> Image:
        if image.size not in self._sizes:
            self._sizes[image.size] = _model_size(image, self.processor)
        size = self._sizes[image.size]
        if size is None or size == image.size:
            return image
        return image.convert("RGB").resize(size, Resampling.BICUBIC)


def _model_size(image: Image, processor: Any) -> tuple[int, int] | None:
    patch = getattr(processor.image_processor, "patch_size", None)
    processed = process_images(processor, [image.convert("RGB")])
    grid, pixels = processed.get("image_grid_thw"), processed["pixel_values"]
    if grid is not None and isinstance(patch, int):
        return int(grid[0, 2]) * patch, int(grid[0, 1]) * patch
    size: Any = getattr(processor.image_processor, "size", None) or {}
    one_tile = math.prod(pixels.shape[:-3]) == 1
    if not one_tile or (size.get("height"), size.get("width")) != tuple(pixels.shape[-2:]):
        return None
    return int(size["width"]), int(size["height"])
