"""What an image carries beside its pixels: how to read it as it was stored, and whether its size is final."""

from __future__ import annotations

from collections.abc import Callable

from PIL.Image import Image

_ORIGINAL = "sightline_original"
_FINAL = "sightline_final_size"


def with_original(image: Image, read: Callable[[], Image]) -> Image:
    """`image`, which remembers how to read what it was resized from."""
    image.info[_ORIGINAL] = read
    return image


def original(image: Image) -> Image:
    """The image as read from its data set, before any resize; itself if it was never resized."""
    read: Callable[[], Image] | None = image.info.get(_ORIGINAL)  # pyright: ignore[reportAssignmentType]
    return image if read is None else read()


def at_final_size(image: Image) -> Image:
    """`image`, marked as one that the model's processor must not resize again: its size is the processor's
    own, whose rounding would else give another."""
    image.info[_FINAL] = True
    return image


def is_final(image: Image) -> bool:
    """Whether the image was marked by `at_final_size`."""
    return getattr(image, "info", {}).get(_FINAL) is True
