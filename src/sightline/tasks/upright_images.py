"""Images as every model is shown them, whatever a file or a task written in Python hands out."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

ORIENTATION = 0x0112
"""The EXIF entry that says an image is stored on its side."""


def upright_rgb(image: Image.Image) -> Image.Image:
    """A copy of an image as a model is shown it: turned as its EXIF data says, transparency laid on white,
    16 bits brought to 8, RGB."""
    if image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer.getchannel("A"))
    return image.convert("RGB")


def is_upright_rgb(image: Image.Image) -> bool:
    """Whether `upright_rgb` would change nothing."""
    return (
        image.mode == "RGB" and not image.has_transparency_data and image.getexif().get(ORIENTATION, 1) == 1
    )


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey values by their high byte; floating ones stretched over their own range."""
    grey = np.asarray(image)
    if image.mode == "F":
        grey = np.nan_to_num(grey, posinf=0, neginf=0)
        low, span = grey.min(), max(float(np.ptp(grey)), 1e-12)
        return Image.fromarray(((grey - low) * (255 / span)).astype(np.uint8))
    return Image.fromarray((np.clip(grey, 0, 65535).astype(np.uint16) >> 8).astype(np.uint8))
