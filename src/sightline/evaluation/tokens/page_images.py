"""Images for a page, as data addresses small enough that hundreds of them stay one page."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from ...image_addresses import data_address, png_address
from ...views import rgb

LOSSLESS_SIDE = 200
"""Images up to this size in pixels stay as they are."""
SIDES = (512, 384, 288, 200, 128, 64)
"""Sizes that larger ones are tried at."""
_QUALITY = 80


def data_addresses(images: Sequence[Image.Image], most_bytes: int) -> list[str]:
    """Each image as a data address; together about `most_bytes`, as far as the smallest size allows.

    Images up to `LOSSLESS_SIDE` become PNG and keep every pixel; larger ones become JPEG at the largest
    of `SIDES` at which one image's share of the bytes suffices.
    """
    share = most_bytes // max(1, len(images))
    return [_address(rgb(image), share) for image in images]


def _address(image: Image.Image, most_bytes: int) -> str:
    if max(image.size) <= LOSSLESS_SIDE:
        return png_address(image, optimize=True)
    address = ""
    for side in SIDES:
        small = image.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        held = io.BytesIO()
        small.save(held, "JPEG", quality=_QUALITY, optimize=True)
        address = data_address(held.getvalue(), "jpeg")
        if len(address) <= most_bytes:
            break
    return address
