"""p values corrected for the number of tests (Holm)."""

from __future__ import annotations

from collections.abc import Sequence


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p values corrected for their number, in the same order; None stays None and counts for nothing.

    With p_(1) ≤ ... ≤ p_(m):  p̃_(i) = max_{j ≤ i} min(1, (m − j + 1)·p_(j)). The chance that any true null
    comes out below α is at most α, whatever the dependence. Source: Holm, Scand. J. Statist. 6 (1979).
    """
    known = sorted((p, place) for place, p in enumerate(values) if p is not None)
    found: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        found[place] = largest
    return found
