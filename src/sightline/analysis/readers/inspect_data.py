"""`inspect.json` as it lies on the disk, whole or damaged, turned into plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...plain_files import Refused, read_plain
from ..charts.number_format import counted, number
from .embedded_images import EmbeddedImage, embedded_image
from .samples import SavedAnswer, answer, items, mapping, numbers, text

INSPECTION = "inspect.json"
SCHEMA = "sightline.inspect/1"
MOST_BYTES = 512_000_000
MOST_PROBLEMS = 1000
MOST_CELLS = 4096
MOST_NOTES = 20


@dataclass(frozen=True)
class OcclusionMap:
    """What hiding each cell of an image does to one token."""

    token: int
    image: int
    rows: int
    columns: int
    values: tuple[float, ...]
    """KL in nats, row by row."""


@dataclass(frozen=True)
class InspectedAnswer:
    """One answer with everything that was measured of it."""

    answer: SavedAnswer
    truncated: bool
    likeliest: Mapping[str, tuple[tuple[tuple[str, float], ...], ...]]
    """"image" and each view -> per token its likeliest alternatives, (text, probability)."""
    log_probs: Mapping[str, tuple[float | None, ...]]
    """The same -> per token its log-probability."""
    maps: tuple[OcclusionMap, ...]
    attention: Mapping[str, tuple[float | None, ...]]
    """"image", "question", "answer" -> share per token; empty if it was not recorded."""


@dataclass(frozen=True)
class InspectedProblem:
    """One problem: what was asked, what was shown, what was answered."""

    id: str
    kind: str
    question: str
    gold: str
    images: tuple[EmbeddedImage | None, ...]
    views: Mapping[str, tuple[EmbeddedImage | None, ...]]
    answers: tuple[InspectedAnswer, ...]


@dataclass(frozen=True)
class InspectedMethod:
    """A method, and what its weights were computed from."""

    name: str
    signals: tuple[str, ...]
    view: str | None


@dataclass(frozen=True)
class Inspection:
    """All that a page needs to know; what is missing or damaged is empty and said in `notes`."""

    name: str
    about: Mapping[str, Any]
    scores: tuple[tuple[str, str | None], ...]
    """(name, view it compares with) of every score, in order."""
    views: tuple[str, ...]
    methods: tuple[InspectedMethod, ...]
    looks: tuple[InspectedProblem, ...]
    notes: tuple[str, ...]

    @property
    def answers(self) -> list[InspectedAnswer]:
        """Every answer, in the order of the page."""
        return [one for look in self.looks for one in look.answers]


def read_inspection(folder: Path) -> Inspection:
    """Read what `sightline inspect` wrote into `folder`.

    Raises:
        UserError: there is no `inspect.json`, it is no JSON, or its schema is another one.
    """
    path = folder / INSPECTION
    try:
        saved = read_plain(path, MOST_BYTES)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; expected a folder that `sightline inspect` wrote"
        ) from error
    except Refused as error:
        raise UserError(f"{path} {error}; run `sightline inspect` again") from error
    found = mapping(saved)
    if found.get("schema") != SCHEMA:
        raise UserError(f"{path} has the schema {found.get('schema')!r}, expected {SCHEMA!r}; "
                        "it was written by another version of Sightline")  # fmt: skip
    return _inspection(folder.resolve().name, found)


def _inspection(name: str, saved: Mapping[str, Any]) -> Inspection:
    notes = [text(note) for note in items(saved.get("notes"))[:MOST_NOTES]]
    rows = items(saved.get("samples"))
    if len(rows) > MOST_PROBLEMS:
        notes.append(f"{INSPECTION} holds {len(rows)} problems; the first {MOST_PROBLEMS} are shown.")
    vocabulary = [text(word) for word in items(saved.get("vocabulary"))]
    looks = tuple(_look(mapping(row), vocabulary) for row in rows[:MOST_PROBLEMS])
    refused = sum(
        shown is None
        for look in looks
        for shown in (*look.images, *(one for shown in look.views.values() for one in shown))
    )
    if refused:
        notes.append(f"{INSPECTION}: {counted(refused, 'image')} left out, not embedded PNG or JPEG.")
    uneven = sum(_uneven(one.answer) for look in looks for one in look.answers)
    if uneven:
        notes.append(
            f"{INSPECTION}: the numbers of {counted(uneven, 'answer')} do not match the tokens one to one."
        )
    scores = [mapping(row) for row in items(saved.get("scores"))]
    return Inspection(
        name=name,
        about=mapping(saved.get("about")),
        scores=tuple((text(row.get("name")), _maybe(row.get("view"))) for row in scores),
        views=tuple(text(mapping(row).get("name")) for row in items(saved.get("views"))),
        methods=tuple(_reader(mapping(row)) for row in items(saved.get("methods"))),
        looks=looks,
        notes=tuple(notes),
    )


def _reader(row: Mapping[str, Any]) -> InspectedMethod:
    signals = tuple(text(name) for name in items(row.get("signals")))
    return InspectedMethod(text(row.get("name")), signals, _maybe(row.get("view")))


def _uneven(told: SavedAnswer) -> bool:
    return any(len(column) != len(told.tokens) for column in (*told.scores.values(), *told.weights.values()))


def _maybe(value: Any) -> str | None:
    return None if value is None else str(value)


def _look(row: Mapping[str, Any], vocabulary: list[str]) -> InspectedProblem:
    answers = (_inspected(mapping(told), vocabulary) for told in items(row.get("answers")))
    return InspectedProblem(
        id=text(row.get("id")),
        kind=text(row.get("kind")),
        question=text(row.get("question")),
        gold=text(row.get("answer")),
        images=tuple(embedded_image(image) for image in items(row.get("images"))),
        views={
            str(name): tuple(embedded_image(image) for image in items(images))
            for name, images in mapping(row.get("views")).items()
        },
        answers=tuple(told for told in answers if told is not None),
    )


def _inspected(saved: Mapping[str, Any], vocabulary: list[str]) -> InspectedAnswer | None:
    told = answer(saved)
    if told is None:
        return None
    maps = (_map(mapping(one)) for one in items(saved.get("occlusion")))
    return InspectedAnswer(
        answer=told,
        truncated=saved.get("truncated") is True,
        likeliest={
            str(name): tuple(_alternatives(items(pairs), vocabulary) for pairs in items(tokens))
            for name, tokens in mapping(saved.get("likeliest")).items()
        },
        log_probs=numbers(saved.get("log_probs")),
        maps=tuple(one for one in maps if one is not None),
        attention=numbers(saved.get("attention")),
    )


def _alternatives(pairs: list[Any], vocabulary: list[str]) -> tuple[tuple[str, float], ...]:
    """(text, probability) of [place, probability, ...]; pairs that point nowhere are left out."""
    listed = []
    for place, share in zip(pairs[::2], pairs[1::2], strict=False):
        probability = number(share)
        if isinstance(place, int) and 0 <= place < len(vocabulary) and probability is not None:
            listed.append((vocabulary[place], probability))
    return tuple(listed)


def _map(saved: Mapping[str, Any]) -> OcclusionMap | None:
    """A map; None if its numbers do not fill its cells."""
    token, image, rows, columns = (_place(saved.get(name)) for name in ("token", "image", "rows", "columns"))
    values = [number(value) for value in items(saved.get("values"))]
    known = [value for value in values if value is not None]
    if token is None or image is None or rows is None or columns is None:
        return None
    if len(known) != len(values) or len(known) != rows * columns or not 0 < len(known) <= MOST_CELLS:
        return None
    return OcclusionMap(token, image, rows, columns, tuple(known))


def _place(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
