"""Estimates with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Measured:
    """A share with its 95 % interval over `n` problems."""

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def proportion(correct: Sequence[bool]) -> Measured:
    """Share of true values with Wilson's score interval.

    centre = (p + z²/2n) / (1 + z²/n),  half = z/(1 + z²/n) · √(p(1−p)/n + z²/4n²),  z = 1.96

    One value per problem, problems independent. No problems give NaN and the interval [0, 1].
    Source: Wilson, JASA 22 (1927).
    """
    n = len(correct)
    if n == 0:
        return Measured(math.nan, 0.0, 1.0, 0)
    share = sum(bool(c) for c in correct) / n
    spread = 1 + Z_95**2 / n
    centre = (share + Z_95**2 / (2 * n)) / spread
    half = Z_95 / spread * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return Measured(share, low, high, n)
