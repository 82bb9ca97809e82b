"""Small copies of images, kept in a results folder so that samples can be looked at without the set."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

from PIL.Image import Image, Resampling

LONGEST_SIDE = 448
_EXACT_PIXELS = 256 * 256
"""Images up to this size are kept as they are; larger ones as JPEG."""


def keep_image(folder: Path, image: Image) -> str:
    """Write a small copy into `folder` under a name made from its content; returns the name."""
    small = image.convert("RGB")
    if max(small.size) > LONGEST_SIDE:
        scale = LONGEST_SIDE / max(small.size)
        size = (max(1, round(small.width * scale)), max(1, round(small.height * scale)))
        small = small.resize(size, Resampling.LANCZOS)
    exact = image.width * image.height <= _EXACT_PIXELS
    buffer = io.BytesIO()
    small.save(buffer, **({"format": "PNG"} if exact else {"format": "JPEG", "quality": 82}))
    content = buffer.getvalue()
    name = hashlib.sha256(content).hexdigest()[:20] + (".png" if exact else ".jpg")
    if not (folder / name).exists():
        folder.mkdir(exist_ok=True)
        part = folder / f".{name}.{os.getpid()}"
        part.write_bytes(content)
        os.replace(part, folder / name)
    return name
