"""Every task's images are upright RGB, also those of a task written in Python."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from sightline.tasks.problem import Problem


def shown(*images: Image.Image) -> tuple[Image.Image, ...]:
    return Problem("1", "?", images, "none").images


def test_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (3, 2), (200, 0, 0, 0))
    image.putpixel((1, 1), (200, 0, 0, 255))
    (seen,) = shown(image)
    assert seen.mode == "RGB"
    assert seen.getpixel((0, 0)) == (255, 255, 255) and seen.getpixel((1, 1)) == (200, 0, 0)


def test_an_image_stored_on_its_side_is_turned_once() -> None:
    stored = Image.new("RGB", (6, 2), "blue")
    stored.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    file = io.BytesIO()
    stored.save(file, "PNG", exif=exif)
    (seen,) = shown(Image.open(file))
    assert seen.size == (2, 6) and seen.getpixel((1, 0)) == (255, 0, 0)
    (again,) = shown(seen)
    assert again is seen


def test_grey_and_sixteen_bits() -> None:
    deep = Image.fromarray(np.full((2, 2), 0x80FF, dtype=np.uint16))
    grey, brought = shown(Image.new("L", (2, 2), 7), deep)
    assert grey.mode == brought.mode == "RGB"
    assert grey.getpixel((0, 0)) == (7, 7, 7) and brought.getpixel((0, 0)) == (128, 128, 128)


def test_upright_rgb_images_are_the_very_same() -> None:
    image = Image.new("RGB", (2, 2))
    other = Image.new("P", (2, 2))
    first, second = shown(image, other)
    assert first is image and second.mode == "RGB"
