"""What the drawn worlds share: examples of a split drawn when indexed, and the task that hands them out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, overload

from PIL.Image import Image

from ..problem import Problem
from .example import Example
from .pairs import PairedProblems
from .variations import Variations

Split = Literal["train", "dev", "test"]

TRAIN_COUNT = 1_000_000
"""Length of the training set when no count is asked for; problems are drawn when indexed."""

HELD_OUT_COUNT = 512
"""Number of held-out problems when no count is asked for."""

HELD_OUT_SHARE = 1 / 8
"""The part of all possible images that each held-out split has to itself."""


@dataclass(frozen=True)
class World:
    """A way of drawing examples, and the splits that keep images from `train`."""

    name: str
    """The task's name; every example's generator is seeded from it."""
    vary: Callable[[Random], Variations]
    """One example of any split before it is drawn."""
    held_out: tuple[Split, ...] = ("test", "dev")

    def draw(self, random: Random) -> Example:
        """One example of any split."""
        return self.vary(random).example(random)

    def split_of(self, image: Image) -> Split:
        """The split an image belongs to, from a hash of its pixels alone.

        An image is on one side whatever is asked about it, so neither a problem nor an image is
        ever in two of these splits, for any seeds.
        """
        place = int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8], "big") / 2**64
        number = int(place / HELD_OUT_SHARE)
        return self.held_out[number] if number < len(self.held_out) else "train"

    def lies_in(self, split: Split, image: Image) -> bool:
        """Whether an image may be one of a split's."""
        return self.split_of(image) == self.side(split)

    def side(self, split: Split) -> Split:
        """Where the images of a split lie: a world that holds out `test` alone draws `dev` beside it."""
        return split if split in ("train", *self.held_out) else "test"


@dataclass(frozen=True)
class Examples(Sequence[Example]):
    """`size` examples of one split; number i is drawn, when indexed, from (world, split, stream, i) alone."""

    world: World
    split: Split
    stream: str
    """Names an independent sequence of examples, such as a seed."""
    size: int

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        """Redraw until the image falls into the split."""
        if isinstance(index, slice):
            return [self[i] for i in range(self.size)[index]]
        random = Random(f"{self.world.name}/{self.split}/{self.stream}/{range(self.size)[index]}")
        example = self.world.draw(random)
        while not self.world.lies_in(self.split, example.image):
            example = self.world.draw(random)
        return example


@dataclass(frozen=True)
class Problems(Sequence[Problem]):
    """The same sequence as a model may see it."""

    examples: Examples

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> list[Problem]: ...
    def __getitem__(self, index: int | slice) -> Problem | list[Problem]:
        """Draw one problem, or a list of them."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        number = range(len(self))[index]
        example = self.examples[number]
        return Problem(
            id=f"{self.examples.world.name}/{self.examples.split}/{self.examples.stream}/{number}",
            question=example.question,
            images=(example.image,),
            answer=str(example.answer),
            kind=example.kind,
        )


class WorldTask:
    """The problems of one world; `train`, `dev` and `test` never share an image where it holds out both."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.name = world.name

    def examples(self, split: Split, count: int | None = None, seed: int = 0) -> Examples:
        """The problems of a split with everything their drawer knows about them."""
        longest = TRAIN_COUNT if split == "train" else HELD_OUT_COUNT
        return Examples(self.world, split, str(seed), longest if count is None else count)

    def train(self, count: int | None = None, seed: int = 0) -> Sequence[Problem]:
        """`count` training problems (None: a million), each drawn when it is indexed."""
        return Problems(self.examples("train", count, seed))

    def dev(self, count: int | None = None, seed: int = 0) -> Sequence[Problem]:
        """`count` problems (None: 512) for choosing learning rates; no image of theirs is in `train`."""
        return Problems(self.examples("dev", count, seed))

    def test(self, count: int | None = None, seed: int = 0) -> Sequence[Problem]:
        """`count` held-out problems (None: 512); no image of theirs is ever in `train`."""
        return Problems(self.examples("test", count, seed))

    def pairs(self, split: Split = "test", count: int = HELD_OUT_COUNT // 2, seed: int = 0) -> PairedProblems:
        """Minimal pairs of a split, `count` of them: two problems each."""
        return PairedProblems(self.world, split, str(seed), count)

    def messages(self, problem: Problem) -> list[dict[str, Any]]:
        """One user turn: the image, then the question."""
        images = [{"type": "image"} for _ in problem.images]
        return [{"role": "user", "content": [*images, {"type": "text", "text": problem.question}]}]


class PairsTask(WorldTask):
    """A world whose training problems come in minimal pairs, both sides of one behind the other.

    `dev` and `test` are those of the world itself, so that what is learned from pairs compares.
    """

    def __init__(self, task: WorldTask) -> None:
        super().__init__(task.world)
        self.name = f"{task.name}:pairs"

    def train(self, count: int | None = None, seed: int = 0) -> Sequence[Problem]:
        """`count` training problems (None: a million), of half as many pairs."""
        return self.pairs("train", (TRAIN_COUNT if count is None else count) // 2, seed)
