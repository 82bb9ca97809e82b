"""Pictures as data addresses, small enough that hundreds of them stay one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image

from ..views import rgb

LOSSLESS_SIDE = 200
"""Pictures up to this size in pixels stay as they are."""
SIDES = (512, 384, 288, 200, 128, 64)
"""Sizes that larger ones are tried at."""
_QUALITY = 80


def data_addresses(pictures: Sequence[Image.Image], most_bytes: int) -> list[str]:
    """Each picture as a data address; together about `most_bytes`, as far as the smallest size allows.

    Pictures up to `LOSSLESS_SIDE` become PNG and keep every pixel; larger ones become JPEG at the largest
    of `SIDES` at which one picture's share of the bytes suffices.
    """
    share = most_bytes // max(1, len(pictures))
    return [_address(rgb(picture), share) for picture in pictures]


def _address(picture: Image.Image, most_bytes: int) -> str:
    if max(picture.size) <= LOSSLESS_SIDE:
        return _encoded(picture, "PNG", optimize=True)
    address = ""
    for side in SIDES:
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        address = _encoded(small, "JPEG", quality=_QUALITY, optimize=True)
        if len(address) <= most_bytes:
            break
    return address


def _encoded(picture: Image.Image, kind: str, **options: object) -> str:
    held = io.BytesIO()
    picture.save(held, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(held.getvalue()).decode('ascii')}"
