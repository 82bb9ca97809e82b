"""What a view is, and the random generator it draws from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from PIL.Image import Image

Per = Literal["prompt", "rollout"]
Stage = Literal["original", "budget", "model"]
STAGES: tuple[Stage, ...] = ("original", "budget", "model")


@dataclass(frozen=True)
class View:
    """A second look at the same problem with the image taken away; a description in plain data.

    `kind` "pixels" replaces the images (see `PixelView.apply`); "attention" keeps them and hides
    the image tokens from attention, which is the model's part.
    """

    name: ClassVar[str]
    kind: ClassVar[Literal["pixels", "attention"]]
    per: Per
    """One draw for all rollouts of a prompt, or a fresh one for each rollout."""
    stage: Stage
    """On which size of the image it is drawn: "original", as read from the data set; "budget", after
    `min_pixels` and `max_pixels`; "model", after the processor's own resize, where patches align with the
    model's. The result has the image's own size in the end."""

    def at(self, progress: float) -> View:
        """The view at a progress of training in [0, 1]; only views with a schedule change."""
        return self

    def plain(self) -> dict[str, Any]:
        """The view as plain data, from which `view` builds it again."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class PixelView(View):
    """A view that replaces each image by another of the same size."""

    kind = "pixels"

    def apply(self, image: Image, generator: np.random.Generator) -> Image:
        """A new RGB image of the same size; `image` may have any mode and is not changed."""
        raise NotImplementedError


def generator(seed: int, step: int, sample_id: str, rollout: int = 0) -> np.random.Generator:
    """The generator of one view of one sample: equal arguments give equal draws in every process.

    The four are hashed together (SHA-256), so draws for different arguments are independent and
    nothing depends on the order in which samples are visited.
    """
    key = json.dumps([int(seed), int(step), str(sample_id), int(rollout)])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest(), "big"))
