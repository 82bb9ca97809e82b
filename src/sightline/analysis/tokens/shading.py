"""How a score, or a method's weight, becomes the shading of a token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..charts.number_format import numeral
from ..readers.samples import SavedAnswer

LEVELS = 8
"""Steps of shading above none."""

LETTERS = "abcdefghijkl"
"""One per score or method, for class names."""
MOST_SCORES = 6
"""Scores on one page, and methods on one page."""

FIRST = "exact_kl"

DROPPED = 0.005
"""Weights below this count as 0."""


@dataclass(frozen=True)
class Shade:
    """How one quantity becomes shading on a whole page: linear from `low` (none) to `high` (full)."""

    letter: str
    name: str
    low: float
    high: float
    kind: Literal["score", "weight"] = "score"

    def values(self, answer: SavedAnswer) -> tuple[float | None, ...]:
        """What it shows of an answer; empty if that was not measured."""
        return (answer.scores if self.kind == "score" else answer.weights).get(self.name, ())

    def level(self, value: float | None) -> int | None:
        """0 to `LEVELS`; None if there is no value."""
        if value is None:
            return None
        if self.high <= self.low:
            return 0
        share = (value - self.low) / (self.high - self.low)
        return round(LEVELS * min(max(share, 0.0), 1.0))

    def mark(self, value: float | None) -> str:
        """The class of a token: its letter with 1 to `LEVELS`, `n` for no value; nothing for level 0.

        A weight of 0 is `z`: dropped.
        """
        if value is None:
            return f"{self.letter}n"
        if self.kind == "weight" and value < DROPPED:
            return f"{self.letter}z"
        level = self.level(value)
        return f"{self.letter}{level}" if level else ""

    @property
    def legend(self) -> list[tuple[int, str]]:
        """Each level with the value at its centre."""
        step = (self.high - self.low) / LEVELS
        return [(level, numeral(self.low + level * step, digits=2)) for level in range(LEVELS + 1)]


def shades(answers: Iterable[SavedAnswer]) -> tuple[Shade, ...]:
    """One shade per score that occurs, with a range that all answers share.

    The range runs from the 2nd to the 98th percentile over all tokens, so that one extreme token does
    not bleach the rest; it starts at 0 for scores that are never negative and reach down near 0. Exact
    dependencies come first, since they say most.
    """
    gathered = _gathered(a.scores for a in answers)
    ordered = sorted(gathered, key=lambda name: not name.startswith(FIRST))
    found = [(name, _range(gathered[name])) for name in ordered]
    return tuple(
        Shade(letter, name, low, high)
        for letter, (name, (low, high)) in zip(LETTERS, found[:MOST_SCORES], strict=False)
    )


def weight_shades(answers: Iterable[SavedAnswer]) -> tuple[Shade, ...]:
    """One shade per method whose weights occur: from 0 (none) to their 98th percentile, at least 1 (full)."""
    found = _gathered(a.weights for a in answers).items()
    return tuple(
        Shade(letter, name, 0.0, max(1.0, float(np.quantile(values, 0.98))), "weight")
        for letter, (name, values) in zip(LETTERS[MOST_SCORES:], found, strict=False)
    )


def _gathered(columns: Iterable[Mapping[str, Sequence[float | None]]]) -> dict[str, np.ndarray]:
    values: dict[str, list[float]] = {}
    for column in columns:
        for name, numbers in column.items():
            values.setdefault(name, []).extend(number for number in numbers if number is not None)
    return {name: np.array(numbers) for name, numbers in values.items() if numbers}


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = (float(q) for q in np.quantile(values, [0.02, 0.98]))
    if values.min() >= 0 and low < 0.5 * high:
        low = 0.0
    return low, high


def words(name: str) -> str:
    """A name in words: `visual_focus` is `visual focus`, `exact_kl/text_only` is `exact KL, text only`."""
    return ", ".join(
        " ".join("KL" if word == "kl" else word for word in part.split("_")) for part in name.split("/")
    )
