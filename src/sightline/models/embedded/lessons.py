"""What the warm start shows: examples with their ideal response, a caption, a guess, or a blacked picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from PIL import Image

from ...tasks.shapes import Example, draw_example
from ...tasks.shapes.example import CellLabel
from ...tasks.shapes.response import derived, house_response, say, text_of
from ...tasks.shapes.vocabulary import CAPTION_QUESTION


@dataclass(frozen=True)
class Lesson:
    """One picture, what is asked about it, and what the model is taught to say."""

    image: Image.Image
    question: str
    response: str
    cells: tuple[CellLabel, ...] | None
    """What each cell shows, for the auxiliary loss; None where there is nothing to see."""


def caption(lesson: Lesson, example: Example) -> Lesson:
    """The same picture with everything in it as the response; unchanged where there is no caption."""
    if example.caption is None:
        return lesson
    return replace(lesson, question=CAPTION_QUESTION, response=example.caption)


def guess(random: Random, lesson: Lesson, example: Example) -> Lesson:
    """The same question with the answer of another problem of its kind: plausible, and not looked at."""
    other = draw_example(random)
    while (other.kind, other.reads) != (example.kind, example.reads):
        other = draw_example(random)
    words = house_response(say("the sum is", derived(other.answer)), other.answer)
    return replace(lesson, response=text_of(words))


def blacked(lesson: Lesson) -> Lesson:
    """The same lesson on a black picture, so that a black picture is no shock to the model."""
    return replace(lesson, image=Image.new("RGB", lesson.image.size), cells=None)


@dataclass(frozen=True)
class Curriculum:
    """How often each way of teaching is used."""

    captions: float = 0.0
    """Share of captions."""
    guesses: float = 0.0
    """Share of the responses, where they are no captions, that are guessed."""
    blacked: float = 0.0
    """Share of blacked pictures."""

    def faded(self, progress: float) -> Curriculum:
        """The curriculum at a point in [0, 1] of its stage: captions fade out by three quarters of it."""
        return replace(self, captions=self.captions * max(0.0, 1 - 1.3 * progress))


def draw_lessons(random: Random, examples: Sequence[Example], plan: Curriculum) -> list[Lesson]:
    """One lesson on each of the examples.

    Every change to the order of draws from `random` changes the lessons, and with them the checkpoint.
    """
    lessons = []
    for example in examples:
        lesson = Lesson(example.image, example.question, example.response_text, example.cells)
        if random.random() < plan.captions:
            lesson = caption(lesson, example)
        elif plan.guesses and random.random() < plan.guesses:
            lesson = guess(random, lesson, example)
        lessons.append(blacked(lesson) if random.random() < plan.blacked else lesson)
    return lessons
