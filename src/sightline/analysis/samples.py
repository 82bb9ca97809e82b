"""Held-out problems with their answers and token scores, as `samples.json` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .numerals import counted, number
from .pictures import Picture, picture

MOST_SAMPLES = 48
"""Problems shown on one page; more belong to a page of their own."""


@dataclass(frozen=True)
class Answer:
    """What a model wrote, how it was graded, and its tokens' scores (one list per signal)."""

    text: str
    correct: bool | None
    tokens: tuple[str, ...]
    scores: Mapping[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class Sample:
    """A held-out problem with what was answered before and after training."""

    id: str
    kind: str
    question: str
    gold: str
    pictures: tuple[Picture | None, ...]
    """None for an address that was refused."""
    before: Answer | None
    after: Answer | None


def read_samples(saved: Any, notes: list[str]) -> tuple[Sample, ...]:
    """The problems of a parsed `samples.json`; what was left out or does not fit is added to `notes`."""
    if not isinstance(saved, list):
        return ()
    if len(saved) > MOST_SAMPLES:
        notes.append(f"samples.json holds {len(saved)} problems; the first {MOST_SAMPLES} are shown.")
    samples = tuple(_sample(mapping(row)) for row in saved[:MOST_SAMPLES])
    answers = [answer for sample in samples for answer in (sample.before, sample.after) if answer]
    uneven = sum(any(len(s) != len(a.tokens) for s in a.scores.values()) for a in answers)
    if uneven:
        notes.append(
            f"samples.json: the scores of {counted(uneven, 'answer')} do not match the tokens one to one."
        )
    if refused := sum(shown is None for sample in samples for shown in sample.pictures):
        notes.append(f"samples.json: {counted(refused, 'picture')} left out, not embedded PNG or JPEG.")
    return samples


def _sample(row: Mapping[str, Any]) -> Sample:
    images = row.get("images", row.get("image"))
    images = images if isinstance(images, list) else [] if images is None else [images]
    return Sample(
        id=_text(row.get("id")),
        kind=_text(row.get("kind")),
        question=_text(row.get("question")),
        gold=_text(row.get("answer")),
        pictures=tuple(picture(image) for image in images),
        before=_answer(row.get("before")),
        after=_answer(row.get("after")),
    )


def _answer(saved: Any) -> Answer | None:
    if not isinstance(saved, Mapping):
        return None
    correct = saved.get("correct")
    return Answer(
        text=_text(saved.get("text")),
        correct=correct if isinstance(correct, bool) else None,
        tokens=tuple(_text(token) for token in items(saved.get("tokens"))),
        scores={
            str(name): tuple(number(value) for value in items(values))
            for name, values in mapping(saved.get("scores")).items()
        },
    )


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is a mapping, otherwise an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """`value` if it is a list, otherwise an empty one."""
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return "" if value is None else str(value)
