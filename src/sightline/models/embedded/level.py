"""The levels of the embedded world and what the model of each is made of: words, lessons, stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from random import Random

from ...tasks import shapes, shapes2
from ...tasks.shapes.example import CELL_COLOURS, CELL_CONTENTS
from ...tasks.shapes.vocabulary import WORDS
from ...tasks.shapes.world import World, WorldTask
from ...tasks.shapes2.example import CELL_COLOURS as COLOURS_2
from ...tasks.shapes2.example import CELL_CONTENTS as CONTENTS_2
from ...tasks.shapes2.vocabulary import WORDS as WORDS_2
from .lessons import Curriculum, retold_from_habit, told_of_another


@dataclass(frozen=True)
class Stage:
    """A stretch of training with its own learning rates and ways of teaching."""

    name: str
    world: World
    steps: int
    learning_rate: float
    """Peak rate of AdamW."""
    matrix_rate: float
    """Peak rate of Muon, which trains the matrices."""
    plan: Curriculum
    batch: int = 24
    """Lessons a step."""
    number_weight: float = 1.0
    """Of a number in the loss of a response, beside the 1 of any other word."""
    colour_weight: float = 1.0
    """The same of a colour, which a legend has to be asked for."""
    settles: bool = True
    """Whether rates fall and captions fade out towards the end; else the next stage does that."""


@dataclass(frozen=True)
class Level:
    """One world with the model that lives in it."""

    number: int
    title: str
    """What its images show."""
    task: WorldTask
    words: tuple[str, ...]
    colours: tuple[str, ...]
    """What the auxiliary labels may say of a cell's colour."""
    contents: tuple[str, ...]
    """And of what stands in it."""
    longest_response: int
    """More tokens than any response of the world has."""
    guess: Callable[[Random, shapes.Example], str]
    """A response that does not look."""
    stages: tuple[Stage, ...]
    folder: str
    """Of the shipped checkpoint, beside this file."""
    grown_from: str | None = None
    """The folder of the checkpoint that it starts from; None: from nothing."""

    @property
    def checkpoint(self) -> Path:
        """The folder of the checkpoint that ships with the package."""
        return shipped(self.folder)


def shipped(folder: str) -> Path:
    """A checkpoint folder of the package."""
    return Path(str(resources.files("sightline.models.embedded"))) / folder


LEVELS = {
    1: Level(
        number=1,
        title="counting coloured shapes, reading bar charts, finding angles",
        task=shapes.ShapesTask(),
        words=WORDS,
        colours=CELL_COLOURS,
        contents=CELL_CONTENTS,
        longest_response=48,
        guess=told_of_another,
        stages=(
            Stage("seeing", shapes.SHAPES, 1302, 1.5e-3, 4e-3, Curriculum(captions=0.2)),
            Stage("habits", shapes.SHAPES, 292, 6e-4, 1.6e-3, Curriculum(guesses=0.57, blacked=0.15)),
        ),
        folder="checkpoint",
    ),
    2: Level(
        number=2,
        title="counting objects that cover each other, charts with a legend, dials",
        task=shapes2.Shapes2Task(),
        words=WORDS_2,
        colours=COLOURS_2,
        contents=CONTENTS_2,
        longest_response=160,
        guess=retold_from_habit,
        stages=(
            Stage(
                "seeing", shapes2.EVEN, 1200, 1.2e-3, 3e-3, Curriculum(captions=0.3), 16, 3.0, settles=False
            ),
            Stage("settling", shapes2.EVEN, 500, 1.2e-3, 3e-3, Curriculum(captions=0.2), 16, 3.0, 4.0),
            Stage("habits", shapes2.SHAPES_2, 800, 1.2e-3, 3e-3, Curriculum(guesses=0.6, blacked=0.15), 16),
        ),
        folder="checkpoint_2",
        grown_from="checkpoint",
    ),
}
