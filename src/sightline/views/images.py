"""Views that take the image away: patches, noise, blur, grey, black, another problem's image."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from ..value_checks import Check, between, one_of, settle
from .view import STAGES, Per, PixelView, Stage

_WHEN: dict[str, Check] = {
    "per": one_of("prompt", "rollout"),
    "stage": one_of(*STAGES),
}


def rgb(image: Image.Image) -> Image.Image:
    """A copy in RGB: transparency on white, 16-bit greys scaled to 8 bits, everything else as Pillow does.

    Mode "I" (32-bit integers) counts as 16-bit if any value exceeds 255. Use it for the first view too,
    so that the two views agree wherever nothing is taken away.
    """
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        wide = image.mode != "I" or grey.max() > 255
        grey = (grey // 256 if wide else grey).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        pixels = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, pixels).convert("RGB")
    return image.copy() if image.mode == "RGB" else image.convert("RGB")


@dataclass(frozen=True, kw_only=True)
class Patches(PixelView):
    """Square patches on a grid from the corner (0, 0), each blacked out with a probability.

    VPPO: 14 pixels, 0.5; its code draws a fresh mask per rollout, within the pixel budget. PAPO: 14 pixels,
    0.6, on the original image. Partial patches at the right and lower edge count as patches.
    """

    name = "patches"
    per: Per = "prompt"
    stage: Stage = "model"
    size: int = 14
    """Side of a patch in pixels."""
    probability: float = 0.5
    """Chance of each patch to be black."""

    def __post_init__(self) -> None:
        _check(self, {"size": between(1, whole=True), "probability": between(0, 1), **_WHEN})

    def apply(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        """The image with each patch black with the given probability."""
        pixels = np.array(rgb(image))
        height, width = pixels.shape[:2]
        grid = -(-height // self.size), -(-width // self.size)
        black = generator.random(grid) < self.probability
        down, across = min(self.size, height), min(self.size, width)
        pixels[black.repeat(down, 0).repeat(across, 1)[:height, :width]] = 0
        return Image.fromarray(pixels)


@dataclass(frozen=True, kw_only=True)
class Noise(PixelView):
    """Gaussian noise added to every channel of every pixel, clipped to 0..255 (VPPO's code: σ = 189)."""

    name = "noise"
    per: Per = "rollout"
    stage: Stage = "model"
    sigma: float = 189.0
    """Standard deviation on the scale 0 to 255."""

    def __post_init__(self) -> None:
        _check(self, {"sigma": between(0, 1e6), **_WHEN})

    def apply(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        """The image with noise on it."""
        pixels = np.asarray(rgb(image), dtype=np.float32)
        noisy = pixels + generator.normal(0.0, self.sigma, pixels.shape)
        return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))


@dataclass(frozen=True, kw_only=True)
class Blur(PixelView):
    """Gaussian blur (VPPO's code: radius 6); the generator is not used."""

    name = "blur"
    per: Per = "prompt"
    stage: Stage = "model"
    radius: float = 6.0
    """Radius in pixels."""

    def __post_init__(self) -> None:
        _check(self, {"radius": between(0, 1e4), **_WHEN})

    def apply(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        """The image out of focus."""
        return rgb(image).filter(ImageFilter.GaussianBlur(self.radius))


@dataclass(frozen=True, kw_only=True)
class Grey(PixelView):
    """One grey everywhere (VPPO's code: 128); the generator is not used."""

    name = "grey"
    per: Per = "prompt"
    stage: Stage = "model"
    level: int = 128
    """Brightness from 0 to 255."""

    def __post_init__(self) -> None:
        _check(self, {"level": between(0, 255, whole=True), **_WHEN})

    def apply(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        """A grey image of the same size."""
        return Image.new("RGB", image.size, (self.level,) * 3)


@dataclass(frozen=True, kw_only=True)
class Black(PixelView):
    """Black everywhere; the generator is not used."""

    name = "black"
    per: Per = "prompt"
    stage: Stage = "model"

    def __post_init__(self) -> None:
        _check(self, _WHEN)

    def apply(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        """A black image of the same size."""
        return Image.new("RGB", image.size)


@dataclass(frozen=True, kw_only=True)
class Swapped(PixelView):
    """Another problem's image, resized to the size of the one it replaces.

    One image alone cannot be swapped, so it has its own interface: `partners` over the problems of
    a batch, then `replace` for each image. `apply` raises.
    """

    name = "swapped"
    per: Per = "prompt"
    stage: Stage = "budget"

    def __post_init__(self) -> None:
        _check(self, _WHEN)

    def apply(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        """Not defined for one image: raises `TypeError`."""
        raise TypeError("a swapped view needs all problems of the batch: use `swap`, not `apply`")

    def partners(self, images: Sequence[Hashable], generator: np.random.Generator) -> list[int]:
        """For each problem, the index of another whose image differs; its own index if there is none.

        `images` identifies what each problem shows (`fingerprint`); None marks a problem without
        images, which gets its own index and is nobody's partner. Count the problems that kept their
        own with `sum(i == j for i, j in enumerate(partners))`.
        """
        chosen = []
        for index, own in enumerate(images):
            others = [j for j, other in enumerate(images) if other is not None and other != own]
            swap = bool(others) and own is not None
            chosen.append(others[int(generator.integers(len(others)))] if swap else index)
        return chosen

    def replace(self, images: Sequence[Image.Image], partner: Sequence[Image.Image]) -> list[Image.Image]:
        """The partner's images at the sizes of `images`, repeated in turn if there are fewer of them."""
        return [rgb(partner[place % len(partner)]).resize(image.size) for place, image in enumerate(images)]

    def swap(
        self, problems: Sequence[Sequence[Image.Image]], generator: np.random.Generator
    ) -> list[list[Image.Image]]:
        """The images of every problem, replaced by another's; all problems of a batch at once."""
        partners = self.partners([fingerprint(images) for images in problems], generator)
        return [
            self.replace(images, problems[partner])
            for images, partner in zip(problems, partners, strict=True)
        ]


def fingerprint(images: Sequence[Image.Image]) -> str | None:
    """A name for what the images show, equal for equal pixels; None for no images."""
    if not images:
        return None
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.size}".encode() + rgb(image).tobytes())
    return digest.hexdigest()


def _check(view: PixelView, checks: dict[str, Check]) -> None:
    settle(view, f"view {view.name}: ", checks)
