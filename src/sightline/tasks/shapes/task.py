"""The task: an endless supply of training problems and held-out problems that are never among them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, overload

from PIL.Image import Image

from ..problem import Problem
from .bars import bar_example
from .counting import counting_example
from .example import Example
from .triangles import triangle_example

Split = Literal["train", "test"]

TRAIN_COUNT = 1_000_000
"""Length of the training set when no count is asked for; problems are drawn when indexed."""

TEST_COUNT = 512
"""Number of held-out problems when no count is asked for."""

HELD_OUT_SHARE = 1 / 8
"""The part of all possible pictures that is held out."""

_DRAWERS: list[Callable[[Random], Example]] = [counting_example, bar_example, triangle_example]
_SHARES = [0.5, 0.25, 0.25]


def draw_example(random: Random) -> Example:
    """One example of either split: half counting, a quarter bar charts, a quarter triangles."""
    return random.choices(_DRAWERS, _SHARES)[0](random)


def split_of(image: Image) -> Split:
    """The split a picture belongs to, from a hash of its pixels alone.

    A picture is on one side whatever is asked about it, so neither a problem nor a picture is
    ever in both splits, for any seeds.
    """
    digest = hashlib.sha256(image.tobytes()).digest()
    return "test" if int.from_bytes(digest[:8], "big") < HELD_OUT_SHARE * 2**64 else "train"


@dataclass(frozen=True)
class Examples(Sequence[Example]):
    """`size` examples of one split; number i is drawn, when indexed, from (split, stream, i) alone."""

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
        """Redraw until the picture falls into the split."""
        if isinstance(index, slice):
            return [self[i] for i in range(self.size)[index]]
        random = Random(f"shapes/{self.split}/{self.stream}/{range(self.size)[index]}")
        example = draw_example(random)
        while split_of(example.image) != self.split:
            example = draw_example(random)
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
            id=f"shapes/{self.examples.split}/{self.examples.stream}/{number}",
            question=example.question,
            images=(example.image,),
            answer=str(example.answer),
            kind=example.kind,
        )


class ShapesTask:
    """Counting coloured shapes, reading bar charts, and finding angles, in 64x64 pictures."""

    name = "shapes"

    def train(self, count: int | None = None, seed: int = 0) -> Sequence[Problem]:
        """`count` training problems (None: a million), each drawn when it is indexed."""
        return Problems(Examples("train", str(seed), TRAIN_COUNT if count is None else count))

    def test(self, count: int | None = None, seed: int = 0) -> Sequence[Problem]:
        """`count` held-out problems (None: 512); no picture of theirs is ever in `train`."""
        return Problems(Examples("test", str(seed), TEST_COUNT if count is None else count))

    def messages(self, problem: Problem) -> list[dict[str, Any]]:
        """One user turn: the picture, then the question."""
        pictures = [{"type": "image"} for _ in problem.images]
        return [{"role": "user", "content": [*pictures, {"type": "text", "text": problem.question}]}]
