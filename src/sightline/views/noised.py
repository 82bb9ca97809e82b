"""Views that leave the image there and make it harder to read: diffusion noise, augmentation."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from ..value_checks import between, one_of, settle, switch
from .anneal import Anneal, anneal
from .images import rgb
from .view import STAGES, Per, PixelView, Stage

STEPS = 1000
_WHEN = {"per": one_of("prompt", "rollout"), "stage": one_of(*STAGES)}


@functools.cache
def kept_signal() -> np.ndarray:
    """ᾱ_k, k = 0..999: the share of an image's variance that is left after k + 1 steps of diffusion.

    β_i = sigmoid(linspace(−6, 6, 1000))_i·(5e-3 − 1e-5) + 1e-5, ᾱ_k = Π_{i≤k} (1 − β_i), in float64.
    """
    rates = 1 / (1 + np.exp(-np.linspace(-6, 6, STEPS))) * (5e-3 - 1e-5) + 1e-5
    return np.cumprod(1 - rates)


@dataclass(frozen=True, kw_only=True)
class Diffusion(PixelView):
    """x_k = clip(√ᾱ_k·x + √(1 − ᾱ_k)·ε, 0, 1) on [0, 1] pixels, cut to 8 bits (NoisyRollout, VEPO, DVRP).

    The noise's standard deviation is 0.005, 0.058, 0.147, 0.413, 0.503 at k = 0, 100, 250, 450, 499.
    """

    name = "diffusion"
    per: Per = "prompt"
    stage: Stage = "original"
    step: int = 500
    """k, in [0, 999]: 0 is almost no noise."""
    anneal: Any = None
    """How k falls over a training, as {kind: sigmoid, steepness: 30, middle: 0.667}; None: it does not."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "anneal", anneal(self.anneal))
        settle(self, "view diffusion: ", {"step": between(0, STEPS - 1, whole=True), **_WHEN})

    def at(self, progress: float) -> Diffusion:
        """The view at this progress: k times the schedule's factor, cut to an integer."""
        return self.scaled(self.anneal.factor(progress)) if isinstance(self.anneal, Anneal) else self

    def scaled(self, factor: float) -> Diffusion:
        """The view at k times `factor`, cut to an integer."""
        return replace(self, step=math.floor(self.step * factor), anneal=None)

    @property
    def noise(self) -> float:
        """√(1 − ᾱ_k), the standard deviation of the noise on [0, 1] pixels."""
        return float(np.sqrt(1 - kept_signal()[self.step]))

    def apply(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        """The image after k steps of diffusion."""
        kept = kept_signal()[self.step]
        pixels = np.asarray(rgb(image), dtype=np.float64) / 255
        noisy = np.sqrt(kept) * pixels + np.sqrt(1 - kept) * generator.standard_normal(pixels.shape)
        return Image.fromarray((noisy.clip(0, 1) * 255).astype(np.uint8))

    def plain(self) -> dict[str, Any]:
        """The view as plain data, from which `view` builds it again."""
        found = super().plain()
        return {name: value for name, value in found.items() if name != "anneal" or value is not None}


@dataclass(frozen=True, kw_only=True)
class Augmented(PixelView):
    """Random flips, a rotation, a change of brightness and contrast, and Gaussian noise (DUPL A.5).

    Flips change answers that depend on left and right, or on above and below: turn them off for such tasks.
    """

    name = "augmented"
    per: Per = "prompt"
    stage: Stage = "original"
    flip: bool = True
    """Whether the image is flipped, each way with probability one half."""
    rotation: float = 10.0
    """Largest angle in degrees, in [0, 180]; what is left open is black."""
    jitter: float = 0.15
    """Brightness and contrast change by up to this share, in [0, 1]."""
    sigma: float = 0.4
    """Standard deviation of the noise on [0, 1] pixels, in [0, 100]."""

    def __post_init__(self) -> None:
        checks = {
            "flip": switch,
            "rotation": between(0, 180),
            "jitter": between(0, 1),
            "sigma": between(0, 100),
            **_WHEN,
        }
        settle(self, "view augmented: ", checks)

    def apply(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        """The image, changed by one draw of each."""
        changed = rgb(image)
        across, down = generator.random(2) < 0.5
        if self.flip and across:
            changed = changed.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.flip and down:
            changed = changed.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        changed = changed.rotate(generator.uniform(-self.rotation, self.rotation), Image.Resampling.BILINEAR)
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast):
            changed = enhance(changed).enhance(1 + generator.uniform(-self.jitter, self.jitter))
        pixels = np.asarray(changed, dtype=np.float64) / 255
        noisy = pixels + generator.normal(0.0, self.sigma, pixels.shape)
        return Image.fromarray((noisy.clip(0, 1) * 255).round().astype(np.uint8))
