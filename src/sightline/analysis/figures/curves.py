"""Training curves of several runs: seeds of one experiment become a mean with a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..readers.metrics import Metrics

MOST_POINTS = 240


@dataclass(frozen=True)
class Curve:
    """One quantity of one experiment."""

    label: str
    steps: np.ndarray
    """float64 [S]."""
    mean: np.ndarray
    low: np.ndarray
    """Lowest of the runs at each step; equal to the mean for one run."""
    high: np.ndarray
    runs: np.ndarray
    """How many runs there are at each step."""


def curves(labelled: Sequence[tuple[str, Metrics]], quantity: str) -> list[Curve]:
    """The curve of each label that recorded `quantity`: mean, lowest and highest of its runs at each step.

    Long curves are averaged over neighbouring steps first, in groups that are the same for all runs.
    """
    recorded: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for label, metrics in labelled:
        steps, values = metrics.recorded(quantity)
        if len(steps):
            recorded.setdefault(label, []).append((steps, values))
    if not recorded:
        return []
    everywhere = np.unique(np.concatenate([steps for runs in recorded.values() for steps, _ in runs]))
    groups = np.array_split(everywhere, min(len(everywhere), MOST_POINTS))
    starts = np.array([group[0] for group in groups])
    centres = np.array([group.mean() for group in groups])
    return [_curve(label, runs, starts, centres) for label, runs in recorded.items()]


def _curve(
    label: str, runs: Sequence[tuple[np.ndarray, np.ndarray]], starts: np.ndarray, centres: np.ndarray
) -> Curve:
    table = np.full((len(runs), len(starts)), np.nan)
    for row, (steps, values) in enumerate(runs):
        place = np.searchsorted(starts, steps, side="right") - 1
        counts = np.bincount(place, minlength=len(starts))
        sums = np.bincount(place, values, minlength=len(starts))
        table[row, counts > 0] = sums[counts > 0] / counts[counts > 0]
    there = np.isfinite(table).any(0)
    table = table[:, there]
    return Curve(
        label,
        centres[there],
        np.nanmean(table, 0),
        np.nanmin(table, 0),
        np.nanmax(table, 0),
        np.isfinite(table).sum(0),
    )


def quantities(labelled: Sequence[tuple[str, Metrics]]) -> Mapping[str, None]:
    """Every quantity that any run recorded, once."""
    return dict.fromkeys(name for _, metrics in labelled for name in metrics.columns)
