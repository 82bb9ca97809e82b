"""Pixels: the palette, the digits and the supersampled canvas that the scenes are drawn on."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
from PIL import Image, ImageDraw

SIDE = 64
"""Width and height of every image, in pixels."""

OVERSAMPLING = 2
"""Outlines are drawn this many times larger and averaged down, so that their edges are smooth."""

Colour = tuple[int, int, int]

PALETTE: dict[str, Colour] = {
    "red": (214, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 210),
    "yellow": (235, 200, 30),
    "purple": (150, 50, 170),
}

_DIGIT_ROWS = {
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "01110 10001 00001 00110 00001 10001 01110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
}
DIGIT_HEIGHT, DIGIT_WIDTH = 7, 5


def shade(random: Random, colour: str) -> Colour:
    """A palette colour, each channel moved by up to 22 of 255."""
    red, green, blue = (int(min(255, max(0, c + random.uniform(-22, 22)))) for c in PALETTE[colour])
    return red, green, blue


def number_mask(number: int) -> np.ndarray:
    """bool [7, 6 n - 1]: the pixels of a number of n digits, one blank column between digits."""
    blank = np.zeros((DIGIT_HEIGHT, 1), dtype=bool)
    columns: list[np.ndarray] = []
    for digit in str(number):
        rows = [[bit == "1" for bit in row] for row in _DIGIT_ROWS[digit].split()]
        columns += [np.array(rows), blank]
    return np.concatenate(columns[:-1], axis=1)


def stamp_number(image: Image.Image, number: int, left: int, top: int, ink: Colour) -> Image.Image:
    """A copy of the image with the number written at (left, top), moved inside where it would stick out."""
    mask = number_mask(number)
    height, width = mask.shape
    left, top = max(0, min(SIDE - width, left)), max(0, min(SIDE - height, top))
    pixels = np.array(image)
    pixels[top : top + height, left : left + width][mask] = ink
    return Image.fromarray(pixels)


class Canvas:
    """A white-to-grey sheet in image coordinates; shapes on it are smoothed when it is finished."""

    def __init__(self, background: int) -> None:
        size = (SIDE * OVERSAMPLING, SIDE * OVERSAMPLING)
        self._image = Image.new("RGB", size, (background, background, background))
        self._draw = ImageDraw.Draw(self._image)

    def shape(self, shape: str, x: float, y: float, radius: float, fill: Colour) -> None:
        """A filled circle, square or triangle around (x, y)."""
        x, y, radius = x * OVERSAMPLING, y * OVERSAMPLING, radius * OVERSAMPLING
        if shape == "circle":
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
        elif shape == "square":
            half = radius * 0.89
            self._draw.rectangle((x - half, y - half, x + half, y + half), fill=fill)
        else:
            base, half = y + radius * 0.85, radius * 1.05
            self._draw.polygon([(x, y - radius * 1.1), (x - half, base), (x + half, base)], fill=fill)

    def polygon(self, points: Sequence[tuple[float, float]], fill: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon([(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in points], fill=fill)

    def line(self, points: Sequence[tuple[float, float]], ink: Colour, width: int) -> None:
        """An open line through the points; `width` in pixels of the enlarged sheet."""
        enlarged = [(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in points]
        self._draw.line(enlarged, fill=ink, width=width)

    def finish(self) -> Image.Image:
        """The image, 64x64 RGB."""
        return self._image.resize((SIDE, SIDE), Image.Resampling.BOX)
