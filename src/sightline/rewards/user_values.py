"""What a user's own reward is given and what it may hand back; all of it is touched inside the time limit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sightline.errors import UserError

LARGEST = 3.4028234663852886e38
"""Rewards are held in float32, which has no larger number."""
_SHOWN = 200
_NO_LISTS = (Mapping, Set, str, bytes, bytearray, memoryview)
"""What can be iterated, but not as one number per completion in their order."""


class NoList(TypeError):  # noqa: N818 (the caller names the reward)
    """The result of a reward is no list of numbers."""


def copied(value: Any) -> Any:
    """A value with its lists and dictionaries copied, to any depth; what they hold is shared.

    A reward may change what it was given, and neither the next reward nor the training sees it.
    """
    if isinstance(value, list):
        return [copied(part) if isinstance(part, list | dict) else part for part in value]
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    return value


_VALUE = ("reward", "score")
"""Under which name a row that is a mapping holds its number."""


@dataclass(frozen=True)
class Judged:
    """What a reward returned: one value per row, and what it said beside."""

    values: list[Any]
    """Each a float if it is a number, else whatever it is."""
    extras: dict[str, list[Any]] = field(default_factory=dict)
    """Name -> one number, truth value or text per row; None where a row has none."""


def read_rewards(result: Any, count: int) -> Judged:
    """At most one value more than the `count` that are expected, and their extras.

    A generator is run here, and whatever it raises comes from here. Raises `NoList` for what is none.
    """
    if isinstance(result, _NO_LISTS):
        raise NoList(f"must return a list of numbers, got {type(result).__name__}")
    try:
        values = iter(result)
    except TypeError:  # a number, or a tensor without a dimension
        raise NoList(f"must return a list of numbers, got {type(result).__name__}") from None
    rows = list(islice(values, count + 1))
    extras = [_extras_of(row) for row in rows]
    names = dict.fromkeys(name for row in extras for name in row)
    return Judged([_number(_value_of(row)) for row in rows],
                  {name: [row.get(name) for row in extras] for name in names})  # fmt: skip


def plain_extra(value: Any) -> Any:
    """An extra as a number, a truth value or text, which every table takes."""
    if value is None or isinstance(value, bool | str):
        return value
    number = value if isinstance(value, int | float) else _number(value)
    if isinstance(number, int | float) and abs(number) <= LARGEST:
        return number
    return str(value)[: 10 * _SHOWN]


def _value_of(row: Any) -> Any:
    """The number of a row that is a mapping; anything else as it is."""
    if not isinstance(row, Mapping):
        return row
    return next((row[name] for name in _VALUE if name in row), row)


def _extras_of(row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        return {}
    taken = next((name for name in _VALUE if name in row), None)
    return {str(name): plain_extra(value) for name, value in row.items() if name != taken}


def checked(
    name: str, values: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Any]
) -> list[float]:
    """The values, if they are one finite number per completion; else a `UserError` with the sample."""
    if len(values) != len(completions):
        more = "more than " if len(values) > len(completions) else ""
        returned = f"{more}{min(len(values), len(completions))}"
        raise UserError(f"reward {name} returned {returned} rewards for {len(completions)} completions")
    for row, value in enumerate(values):
        if not isinstance(value, float) or not abs(value) <= LARGEST:
            what = f"reward {name} returned {said(value)}, which is no finite number (of float32)"
            raise UserError(f"{what}, at sample {row}: {shown(completions, columns, row)}")
    return list(values)


def shown(completions: Sequence[Any], columns: Mapping[str, Any], row: int) -> str:
    """One sample on one line, long texts cut."""
    if not completions:
        return "an empty batch"
    sample = {"completion": completions[row], "answer": (columns.get("answer") or [None] * (row + 1))[row]}
    return ", ".join(f"{key} {str(value)[:300]!r}" for key, value in sample.items() if value is not None)


def said(value: Any) -> str:
    """A value of the user's in a few words on one line; a repr that fails is theirs and costs nothing."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"an integer of {value.bit_length()} bits"
    try:
        return one_line(repr(value))
    except Exception:
        return f"a {type(value).__name__}"


def one_line(text: str) -> str:
    """The beginning of a text without its line breaks."""
    return " ".join(text.split())[:_SHOWN]


def _number(value: Any) -> Any:
    """A float; the value itself if it is none, or too large for one."""
    if isinstance(value, str | bytes | bytearray):
        return value
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return value
    return number if math.isfinite(number) else value
