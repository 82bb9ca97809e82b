"""A task written in Python: blocks of colour of odd sizes, one image or two to a problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from sightline.tasks.problem import Problem

SIZES = [(56, 56), (61, 40), (33, 97), (90, 31), (28, 28)]


class ColouredBlocks:
    """`shows` images to a problem, or one and two in turn; questions of several lengths, for padding."""

    name = "blocks"

    def __init__(self, shows: int | None = None):
        self.shows = shows

    def train(self, count: int | None, seed: int) -> Sequence[Problem]:
        drawn = torch.Generator().manual_seed(seed)
        problems = []
        for number in range(count or 8):
            images = self.shows or 1 + number % 2
            shown = tuple(_image(drawn, SIZES[(number + k) % len(SIZES)]) for k in range(images))
            problems.append(Problem(f"blocks/{number}", "c" * (1 + 3 * (number % 7)), shown, "none"))
        return problems

    def test(self, count: int | None, seed: int) -> Sequence[Problem]:
        return []

    def messages(self, problem: Problem) -> list[dict[str, Any]]:
        parts = [{"type": "image"} for _ in problem.images]
        return [{"role": "user", "content": [*parts, {"type": "text", "text": problem.question}]}]


def _image(drawn: torch.Generator, size: tuple[int, int]) -> Image.Image:
    blocks = torch.randint(0, 255, (4, 4, 3), generator=drawn, dtype=torch.uint8)
    return Image.fromarray(blocks.numpy()).resize(size, Image.Resampling.NEAREST)
