"""What the warm start shows: examples with their ideal response, a caption, a guess, or a blacked image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from PIL import Image

from ...tasks.shapes import Example, draw_example
from ...tasks.shapes.example import CellLabel
from ...tasks.shapes.response import derived, house_response, say, text_of
from ...tasks.shapes.vocabulary import CAPTION_QUESTION
from ...tasks.shapes2 import PuzzleExample


@dataclass(frozen=True)
class Lesson:
    """One image, what is asked about it, and what the model is taught to say."""

    image: Image.Image
    question: str
    response: str
    cells: tuple[CellLabel, ...] | None
    """What each cell shows, for the auxiliary loss; None where there is nothing to see."""


def caption(lesson: Lesson, example: Example) -> Lesson:
    """The same image with everything in it as the response; unchanged where there is no caption."""
    if example.caption is None:
        return lesson
    return replace(lesson, question=CAPTION_QUESTION, response=example.caption)


def told_of_another(random: Random, example: Example) -> str:
    """The answer of another problem of the first world and of its kind: plausible, and not looked at."""
    other = draw_example(random)
    while (other.kind, other.reads) != (example.kind, example.reads):
        other = draw_example(random)
    return text_of(house_response(say("the sum is", derived(other.answer)), other.answer))


def retold_from_habit(random: Random, example: Example) -> str:
    """The reasoning of Shapes-2 with the usual value wherever one should be read."""
    if not isinstance(example, PuzzleExample):
        raise TypeError(f"expected an example of Shapes-2, got {type(example).__name__}")
    puzzle = example.puzzle.from_habit()
    return text_of(house_response(puzzle.reasoning(random), puzzle.answer))


def blacked(lesson: Lesson) -> Lesson:
    """The same lesson on a black image, so that a black image is no shock to the model."""
    return replace(lesson, image=Image.new("RGB", lesson.image.size), cells=None)


@dataclass(frozen=True)
class Curriculum:
    """How often each way of teaching is used."""

    captions: float = 0.0
    """Share of captions."""
    guesses: float = 0.0
    """Share of the responses, where they are no captions, that are guessed."""
    blacked: float = 0.0
    """Share of blacked images."""

    def faded(self, progress: float) -> Curriculum:
        """The curriculum at a point in [0, 1] of its stage: captions fade out by three quarters of it."""
        return replace(self, captions=self.captions * max(0.0, 1 - 1.3 * progress))


def draw_lessons(
    random: Random,
    examples: Sequence[Example],
    plan: Curriculum,
    guess: Callable[[Random, Example], str] = told_of_another,
) -> list[Lesson]:
    """One lesson on each of the examples; `guess` tells the responses that do not look.

    Every change to the order of draws from `random` changes the lessons, and with them the checkpoint.
    """
    lessons = []
    for example in examples:
        lesson = Lesson(example.image, example.question, example.response_text, example.cells)
        if random.random() < plan.captions:
            lesson = caption(lesson, example)
        elif plan.guesses and random.random() < plan.guesses:
            lesson = replace(lesson, response=guess(random, example))
        lessons.append(blacked(lesson) if random.random() < plan.blacked else lesson)
    return lessons
