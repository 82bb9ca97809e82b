"""Images as data addresses (`data:image/png;base64,...`), for pages and for servers of models."""

from __future__ import annotations

import base64
import io

from PIL.Image import Image


def data_address(content: bytes, kind: str) -> str:
    """The address of an encoded image; `kind` is "png" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def png_address(image: Image, *, optimize: bool = False) -> str:
    """An image as PNG, every pixel kept; `optimize` takes longer for fewer bytes."""
    held = io.BytesIO()
    image.save(held, "PNG", optimize=optimize)
    return data_address(held.getvalue(), "png")
