"""The faults a row can have, by name; rows that are left out are counted by them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """A kind of problem with a row."""

    MISSING_IMAGE = "missing image"
    DAMAGED_IMAGE = "damaged image"
    TRUNCATED_IMAGE = "truncated image"
    DECOMPRESSION_BOMB = "decompression bomb"
    ZERO_SIZE = "zero-size image"
    THIN_IMAGE = "image too thin"
    OUTSIDE_PATH = "path outside the set"
    REFUSED_ADDRESS = "address not allowed"
    MORE_MARKERS = "more markers than images"
    EMPTY_QUESTION = "empty question"
    EMPTY_ANSWER = "empty answer"
    CONTROL_TEXT = "control token in text"
    WRONG_TYPE = "wrong type"
    UNMATCHED_GOLD = "gold that no answer can match"
    PROMPT_TOO_LONG = "prompt too long"
    UNREADABLE_GOLD = "gold the grader cannot read"
    REFUSED_GOLD = "gold the grader refuses"
    UNDECIDED_GOLD = "gold that was not judged"
    IN_TEST = "also in the test set"
    DUPLICATE = "duplicate"
    FEWER_MARKERS = "fewer markers than images"
    NO_IMAGE = "no image"


NOTES = frozenset({Fault.DUPLICATE, Fault.FEWER_MARKERS, Fault.NO_IMAGE, Fault.UNDECIDED_GOLD})
"""Worth knowing, but such rows are trained on as they are."""


class UnusableRow(Exception):  # noqa: N818 (a finding about a row, not a failure of ours)
    """A row cannot be used; says why, and `detail` says what came."""

    def __init__(self, fault: Fault, detail: str):
        detail = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in detail)  # it quotes the set
        super().__init__(f"{fault} ({detail})")
        self.fault = fault
        self.detail = detail


@dataclass(frozen=True)
class BadRow:
    """A row that was left out, with its number in the set (from 0)."""

    row: int
    fault: Fault
    detail: str


def summary(rows: Iterable[BadRow], shown: int = 8) -> str:
    """`2 damaged image (rows 3, 17), 1 empty answer (row 5)`, most frequent first."""
    numbers: dict[Fault, list[int]] = {}
    for bad in rows:
        numbers.setdefault(bad.fault, []).append(bad.row)
    kinds = sorted(numbers.items(), key=lambda item: -len(item[1]))
    return ", ".join(f"{len(found)} {fault} ({row_list(found, shown)})" for fault, found in kinds)


def row_list(numbers: list[int], shown: int = 8) -> str:
    """`row 3`, `rows 3, 17`, or `rows 3, 17, ...`."""
    listing = ", ".join(map(str, numbers[:shown])) + (", ..." if len(numbers) > shown else "")
    return f"row{'s' if len(numbers) != 1 else ''} {listing}"
