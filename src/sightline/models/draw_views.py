"""A view drawn for problems or for a batch of rollouts: the images that the second forward is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from PIL.Image import Image, Resampling

from ..rollouts import Rollouts
from ..views import PixelView, Swapped, at_final_size, generator, original
from ..views.view import Stage
from .families import process_images


def draw_view(
    view: PixelView,
    images: Sequence[Sequence[Image]],
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
    stage = _Stage(view.stage, processor)
    shown = [[stage.drawn_on(image) for image in given] for given in images]
    if isinstance(view, Swapped):
        drawn = view.swap(shown, generator(seed, step, "swapped"))
    else:
        drawn = [
            [view.apply(image, random) for image in given]
            for given, random in zip(shown, _generators(sample_ids, draws, seed, step), strict=True)
        ]
    return [
        [stage.finished(new, image) for new, image in zip(*pair, strict=True)]
        for pair in zip(drawn, images, strict=True)
    ]


class _Stage:
    """From an image to what a view is drawn on, and from what was drawn to what the model is shown."""

    def __init__(self, name: Stage, processor: Any):
        self.name, self.fit = name, _Resizer(processor)

    def drawn_on(self, image: Image) -> Image:
        if self.name == "original":
            return original(image)
        return self.fit(image) if self.name == "model" else image

    def finished(self, drawn: Image, image: Image) -> Image:
        """What was drawn, such that the processor gives it the grid of `image`."""
        if self.name == "model" and self.fit.is_grid(image):
            return at_final_size(drawn)
        if self.name == "original" and drawn.size != image.size:
            return drawn.resize(image.size, Resampling.BICUBIC)
        return drawn


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

    Its size is final then (`views.at_final_size`). Families whose image processor cuts or tiles have no such
    size; their images stay as they are.
    """
    fit = _Resizer(processor)
    return at_final_size(fit(image).copy()) if fit.is_grid(image) else fit(image)


class _Resizer:
    """Resizes images as a processor does, and asks it only once for each size of image."""

    def __init__(self, processor: Any):
        self.processor = processor
        self._sizes: dict[tuple[int, int], tuple[tuple[int, int] | None, bool]] = {}

    def __call__(self, image: Image) -> Image:
        size, _ = self._asked(image)
        if size is None or size == image.size:
            return image
        return image.convert("RGB").resize(size, Resampling.BICUBIC)

    def is_grid(self, image: Image) -> bool:
        """Whether the size follows from the image's own, as a grid of patches; else it is one for all."""
        return self._asked(image)[1]

    def _asked(self, image: Image) -> tuple[tuple[int, int] | None, bool]:
        if image.size not in self._sizes:
            self._sizes[image.size] = _model_size(image, self.processor)
        return self._sizes[image.size]


def _model_size(image: Image, processor: Any) -> tuple[tuple[int, int] | None, bool]:
    """The size the processor resizes to, if it has one, and whether that is a grid of patches."""
    patch = getattr(processor.image_processor, "patch_size", None)
    processed = process_images(processor, [image.convert("RGB")])
    grid, pixels = processed.get("image_grid_thw"), processed["pixel_values"]
    if grid is not None and isinstance(patch, int):
        return (int(grid[0, 2]) * patch, int(grid[0, 1]) * patch), True
    size: Any = getattr(processor.image_processor, "size", None) or {}
    one_tile = math.prod(pixels.shape[:-3]) == 1
    if not one_tile or (size.get("height"), size.get("width")) != tuple(pixels.shape[-2:]):
        return None, False
    return (int(size["width"]), int(size["height"])), False
