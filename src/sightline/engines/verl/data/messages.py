"""A problem's messages with its images in them, encoded, and back."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from ....views import rgb


def with_images(messages: Sequence[dict[str, Any]], images: Sequence[Any]) -> list[dict[str, Any]]:
    """Chat messages whose image parts hold the images, in order, as PNG: lossless, and small in queues."""
    left = iter(images)

    def part(one: dict[str, Any]) -> dict[str, Any]:
        return {"type": "image", "image": _encoded(next(left))} if one["type"] == "image" else dict(one)

    return [
        message
        if isinstance(message["content"], str)
        else message | {"content": [part(one) for one in message["content"]]}
        for message in messages
    ]


def shown_images(messages: Sequence[dict[str, Any]]) -> list[Any]:
    """The images of a chat, in order, decoded, in RGB."""
    parts = [
        part for message in messages if not isinstance(message["content"], str) for part in message["content"]
    ]
    return [_decoded(part["image"]) for part in parts if part["type"] == "image"]


def _encoded(image: Any) -> bytes:
    file = io.BytesIO()
    rgb(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _decoded(image: Any) -> Any:
    """RGB; verl's own datasets hold images as they are."""
    return rgb(Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image)
