"""LFM2-VL's images without torchvision, which transformers' own processor needs: never in tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.processing_utils import ImagesKwargs

_PATCH, _MOST = 8, 64
"""Pixels of a patch's side, and patches that every image is padded to."""


class _Settings(ImagesKwargs, total=False):
    return_row_col_info: bool


class Lfm2ImagesWithoutTorchvision(BaseImageProcessor):
    """Images of whole pairs of patches as [n, 64, 192], with the mask and the shape of what is no padding."""

    valid_kwargs = _Settings
    model_input_names: ClassVar = ["pixel_values", "pixel_attention_mask", "spatial_shapes"]
    tile_size, encoder_patch_size, downsample_factor, use_thumbnail = 64, _PATCH, 2, False

    def fetch_images(self, images: Any) -> Any:
        return images

    def __call__(self, images: Any, return_row_col_info: bool = False, **_: Any) -> BatchFeature:
        rows = [_patches(image) for row in images for image in (row if isinstance(row, Sequence) else [row])]
        found: dict[str, Any] = {
            "pixel_values": torch.stack([pixels for pixels, _, _ in rows]),
            "pixel_attention_mask": torch.stack([mask for _, mask, _ in rows]),
            "spatial_shapes": torch.tensor([shape for _, _, shape in rows]),
        }
        if return_row_col_info:
            one = torch.ones(len(rows), dtype=torch.long)
            sizes = [[_PATCH * side for side in shape] for _, _, shape in rows]
            found |= {"image_rows": one, "image_cols": one, "image_sizes": sizes}
        return BatchFeature(found)


def _patches(image: Image.Image) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
    width, height = (max(2, min(8, round(side / 16) * 2)) for side in image.size)
    resized = image.convert("RGB").resize((width * _PATCH, height * _PATCH))
    values = torch.from_numpy(np.asarray(resized, dtype=np.float32)) / 127.5 - 1
    cut = values.reshape(height, _PATCH, width, _PATCH, 3).transpose(1, 2).reshape(height * width, -1)
    padded = torch.zeros(_MOST, cut.shape[1])
    padded[: len(cut)] = cut
    return padded, (torch.arange(_MOST) < len(cut)).int(), (height, width)
