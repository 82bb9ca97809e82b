"""Student's t distribution for whole degrees of freedom, in closed form."""

from __future__ import annotations

import math
from functools import lru_cache


def within(t: float, freedom: int) -> float:
    """P(|T| < t) for `freedom` >= 1 degrees of freedom.

    With θ = atan(t/√ν): a finite sum of powers of cos θ, one for odd and one for even ν.
    Source: Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    if freedom < 1:
        raise ValueError(f"expected at least 1 degree of freedom, got {freedom}")
    if math.isinf(t):
        return 1.0
    angle = math.atan(t / math.sqrt(freedom))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = freedom % 2 == 1
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for power in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= square * (power + 1) / (power + 2)
    return (2 / math.pi) * (angle + sine * total) if odd else sine * total


def two_sided(t: float, freedom: int) -> float:
    """P(|T| >= |t|), between 0 and 1; NaN for NaN."""
    return math.nan if math.isnan(t) else min(1.0, max(0.0, 1.0 - within(abs(t), freedom)))


@lru_cache(maxsize=4096)
def quantile(share: float, freedom: int) -> float:
    """The value below which T stays with probability `share`, in (0.5, 1), by bisection to 1e-12."""
    if not 0.5 < share < 1:
        raise ValueError(f"expected a share in (0.5, 1), got {share}")
    low, high = 0.0, 1.0
    while within(high, freedom) < 2 * share - 1:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if within(middle, freedom) < 2 * share - 1 else (low, middle)
    return (low + high) / 2
