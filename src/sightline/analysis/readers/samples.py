"""Held-out problems with their answers and token scores, as `samples.json` holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..charts.number_format import counted, number, numeral
from .embedded_images import EmbeddedImage, embedded_image

MOST_SAID, LONGEST_SAID = 20, 300
"""Rewards and extras shown of an answer, and characters of each."""
MOST_SAMPLES = 48
"""Problems shown on one page; more belong to a page of their own."""


@dataclass(frozen=True)
class SavedAnswer:
    """What a model wrote, how it was graded, and its tokens' scores (one list per signal)."""

    text: str
    correct: bool | None
    tokens: tuple[str, ...]
    scores: Mapping[str, tuple[float | None, ...]]
    weights: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    """Method -> the weight it gives each token."""
    said: tuple[tuple[str, str], ...] = ()
    """The rewards of the answer and what they said beside, by name."""


@dataclass(frozen=True)
class Sample:
    """A held-out problem with what was answered before and after training."""

    id: str
    kind: str
    question: str
    gold: str
    images: tuple[EmbeddedImage | None, ...]
    """None for an address that was refused."""
    before: SavedAnswer | None
    after: SavedAnswer | None


def read_samples(saved: Any, notes: list[str], most: int = MOST_SAMPLES) -> tuple[Sample, ...]:
    """The first `most` problems of a parsed `samples.json`; what does not fit is added to `notes`."""
    if not isinstance(saved, list):
        return ()
    if len(saved) > most:
        notes.append(f"samples.json holds {len(saved)} problems; the first {most} are shown.")
    samples = tuple(_sample(mapping(row)) for row in saved[:most])
    answers = [answer for sample in samples for answer in (sample.before, sample.after) if answer]
    uneven = sum(any(len(s) != len(a.tokens) for s in a.scores.values()) for a in answers)
    if uneven:
        notes.append(
            f"samples.json: the scores of {counted(uneven, 'answer')} do not match the tokens one to one."
        )
    if refused := sum(shown is None for sample in samples for shown in sample.images):
        notes.append(f"samples.json: {counted(refused, 'image')} left out, not embedded PNG or JPEG.")
    return samples


def _sample(row: Mapping[str, Any]) -> Sample:
    images = row.get("images", row.get("image"))
    images = images if isinstance(images, list) else [] if images is None else [images]
    return Sample(
        id=text(row.get("id")),
        kind=text(row.get("kind")),
        question=text(row.get("question")),
        gold=text(row.get("answer")),
        images=tuple(embedded_image(image) for image in images),
        before=answer(row.get("before")),
        after=answer(row.get("after")),
    )


def answer(saved: Any) -> SavedAnswer | None:
    """A parsed answer; None if it is no mapping."""
    if not isinstance(saved, Mapping):
        return None
    correct = saved.get("correct")
    return SavedAnswer(
        text=text(saved.get("text")),
        correct=correct if isinstance(correct, bool) else None,
        tokens=tuple(text(token) for token in items(saved.get("tokens"))),
        scores=numbers(saved.get("scores")),
        weights=numbers(saved.get("weights")),
        said=tuple(_said(saved)),
    )


def _said(saved: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Rewards, then extras, each with its name; numbers in short, texts cut."""
    both = [*mapping(saved.get("rewards")).items(), *mapping(saved.get("extras")).items()]
    for name, value in both[:MOST_SAID]:
        found = number(value)
        if found is not None:
            yield str(name)[:LONGEST_SAID], numeral(found, 3)
        elif isinstance(value, str | bool):
            yield str(name)[:LONGEST_SAID], str(value)[:LONGEST_SAID]


def numbers(saved: Any) -> dict[str, tuple[float | None, ...]]:
    """Lists of numbers by name; what is no finite number becomes None."""
    return {
        str(name): tuple(number(value) for value in items(values)) for name, values in mapping(saved).items()
    }


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is a mapping, otherwise an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """`value` if it is a list, otherwise an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    """`value` as text, empty for None."""
    return "" if value is None else str(value)
