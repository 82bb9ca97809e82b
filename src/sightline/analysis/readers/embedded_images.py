"""Images inside a page: only PNG and JPEG data addresses that are what they claim to be."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

DATA_ADDRESS = re.compile(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/]+={0,2})")
SIGNATURES = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff"}
SMALL_SIDE = 200
"""Images up to this width in pixels are enlarged with hard edges."""


@dataclass(frozen=True)
class EmbeddedImage:
    """An image that may be put into a page as it stands."""

    address: str
    """`data:image/png;base64,...` or the same for JPEG."""
    small: bool
    """Whether it is narrow enough to be shown enlarged."""


def embedded_image(address: Any) -> EmbeddedImage | None:
    """The image behind a data address, or None if it is anything else.

    Accepted is exactly `data:image/png;base64,` or `data:image/jpeg;base64,`, then base64 whose
    first bytes are that format's signature. Everything else (SVG, remote addresses, scripts, a
    wrong label) is refused; the caller shows a placeholder.
    """
    match = DATA_ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if match is None:
        return None
    try:
        content = base64.b64decode(match[2], validate=True)
    except binascii.Error:
        return None
    if not content.startswith(SIGNATURES[match[1]]):
        return None
    width = int.from_bytes(content[16:20]) if match[1] == "png" else SMALL_SIDE + 1
    return EmbeddedImage(match[0], small=0 < width <= SMALL_SIDE)
