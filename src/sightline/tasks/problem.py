"""What a task hands out: problems with images, and the protocol every task follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL.Image import Image

from ..errors import UserError
from .upright_images import is_upright_rgb, upright_rgb


class NothingHeldOut(UserError):  # noqa: N818
    """A task has problems to train on and none that are held out."""


@dataclass(frozen=True)
class Problem:
    """One question about zero or more images, with the answer that is graded against."""

    id: str
    """Stable name, unique within the task; random views are seeded from it."""
    question: str
    """The text that is asked, without image markers."""
    images: tuple[Image, ...]
    """Images in the order they are shown; empty for a text-only problem. Those that are not upright RGB are
    made so: processors and samplers disagree about transparency and EXIF rotation."""
    answer: str
    """The gold answer."""
    choices: tuple[str, ...] | None = None
    """The values of the options A, B, ... if the problem is multiple choice and they are known."""
    kind: str = ""
    """A class of problem, for breakdowns ("bar chart", "count")."""
    gold: Any = field(default=None, compare=False)
    """The answer as its row holds it where that is a list or a mapping (a box, several values), which
    rewards of the user's own judge; `answer` is then its JSON. None for text and numbers."""
    columns: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Every column of its row, for rewards; read when it is first looked into. Empty if it has no row."""
    accepted: tuple[str, ...] = ()
    """Further answers that are as right as the gold."""
    listed: bool = False
    """Whether the question itself lists the choices, so that the prompt does not."""

    def __post_init__(self) -> None:
        if not all(is_upright_rgb(image) for image in self.images if isinstance(image, Image)):
            shown = tuple(
                image if not isinstance(image, Image) or is_upright_rgb(image) else upright_rgb(image)
                for image in self.images
            )
            object.__setattr__(self, "images", shown)

    @property
    def golds(self) -> tuple[str, ...]:
        """Every answer that is right, the gold first."""
        return (self.answer, *self.accepted)


class Task(Protocol):
    """Rows of one subject: where problems come from and how they are put to a model."""

    name: str

    def train(self, count: int | None, seed: int) -> Sequence[Problem]:
        """`count` training problems (None: all there are); decoded or drawn when indexed."""
        ...

    def test(self, count: int | None, seed: int) -> Sequence[Problem]:
        """`count` held-out problems, never among those of `train` whatever the seeds."""
        ...

    def messages(self, problem: Problem) -> list[dict[str, Any]]:
        """The chat messages of a problem; content is a list of parts, one `{"type": "image"}` per image."""
        ...
