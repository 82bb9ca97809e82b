"""Which parts of an image a token needs: its KL when each of them is hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from PIL import Image

from ...models.draw_views import resized
from ...models.loading import LoadedModel
from ...rollouts import Rollouts
from ...views import at_final_size, is_final, rgb
from .top_tokens import occlusion


def occlusion_maps(
    loaded: LoadedModel, rollouts: Rollouts, row: int, tokens: Sequence[int], cells: int
) -> list[dict[str, Any]]:
    """One map per image and token of a row, as plain data.

    A map is `{"token", "image", "rows", "columns", "values"}`: KL in nats when each cell of image
    `image` is painted in the image's mean colour, row by row. Cells are squares of whole image tokens,
    at most `cells` along the longer side.
    """
    images = [resized(image, loaded.processor) for image in rollouts.images[row]]
    maps = []
    for number, image in enumerate(images if tokens else []):
        grid, hidden = covered(image, token_side(loaded.processor), cells)
        covered_images = [[*images[:number], other, *images[number + 1 :]] for other in hidden]
        values = occlusion(loaded.model, loaded.processor, rollouts, row, tokens, covered_images)
        maps += [
            {"token": token, "image": number, "rows": grid[0], "columns": grid[1], "values": column.tolist()}
            for token, column in zip(tokens, values.T, strict=True)
        ]
    return maps


def token_side(processor: Any) -> int:
    """The side in pixels of what becomes one image token; 1 where the family does not say."""
    patch, merge = (getattr(processor.image_processor, name, None) for name in ("patch_size", "merge_size"))
    return patch * (merge if isinstance(merge, int) else 1) if isinstance(patch, int) else 1


def covered(image: Image.Image, unit: int, cells: int) -> tuple[tuple[int, int], Iterator[Image.Image]]:
    """(rows, columns) of a grid with cells of whole `unit`s, and the image without each of them."""
    side = unit * -(-max(image.size) // (unit * cells))
    rows, columns = -(-image.height // side), -(-image.width // side)
    pixels = np.asarray(rgb(image))
    colour = pixels.reshape(-1, 3).mean(0).round().astype(np.uint8)

    def covered_images() -> Iterator[Image.Image]:
        for down, across in product(range(rows), range(columns)):
            changed = pixels.copy()
            changed[down * side : (down + 1) * side, across * side : (across + 1) * side] = colour
            hidden = Image.fromarray(changed)
            yield at_final_size(hidden) if is_final(image) else hidden

    return (rows, columns), covered_images()
