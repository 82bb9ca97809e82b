"""Charts as geometry: numbers in, positions out; the markup is in `templates/charts.html`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from .axes import Axis, axis
from .number_format import numeral, percent

WIDTH = 340
LEFT, RIGHT = 46, 56
MOST_POINTS = 240
"""A curve with more steps is drawn by neighbouring groups of them."""

MOST_MARKS = 60
"""Places of a curve that can be pointed at for their values."""


@dataclass(frozen=True)
class Mark:
    """A strip of the chart that shows, when pointed at, what lies there."""

    left: float
    width: float
    x: float
    y: float
    label: str


@dataclass(frozen=True)
class CurveChart:
    """One quantity over training steps."""

    name: str
    title: str
    description: str
    height: float
    x: Axis
    y: Axis
    band: str
    """Polygon of the lowest and highest values of grouped steps; empty if no steps were grouped."""
    raw: str
    smooth: str
    """Polyline of the local mean; empty for a handful of steps."""
    intervals: str
    """Path of the upright intervals of the values; empty if they have none."""
    last: tuple[float, float, str]
    """The place of the last value, and the value."""
    reference: float | None
    """Position of a line to compare with."""
    marks: list[Mark]


def curve_chart(
    name: str,
    title: str,
    steps: np.ndarray,
    values: np.ndarray,
    *,
    ends: tuple[np.ndarray, np.ndarray] | None = None,
    reference: float | None = None,
    share: bool = False,
    height: int = 190,
) -> CurveChart:
    """A quantity over steps: the recorded values thin, their local mean bold.

    Args:
        name: The quantity's own name, as logged.
        title: The same in words.
        steps: float64 [S], ascending; S >= 1.
        values: float64 [S], finite.
        ends: Lower and upper ends of the values' intervals, each float64 [S]; NaN where there is none.
        reference: A value to draw a line at, if the values come near it.
        share: Values are shares of 1, shown in per cent.
        height: Of the drawing, whose width is `WIDTH`.
    """
    groups = np.array_split(np.arange(len(steps)), min(len(steps), MOST_POINTS))
    at = [float(steps[group].mean()) for group in groups]
    mean = [float(values[group].mean()) for group in groups]
    x = axis(float(steps[0]), float(steps[-1]), LEFT, WIDTH - RIGHT, ticks=4, whole=True)
    reached = values if ends is None else np.concatenate([values, *(end[np.isfinite(end)] for end in ends)])
    bottom, top = room(reached.min(), reached.max(), reference, share=share)
    y = axis(bottom, top, height - 32, 10, ticks=4, share=share)
    show = percent if share else partial(numeral, digits=3)
    grouped = len(groups) < len(steps)
    smoothed = local_mean(np.array(mean))
    labels = [f"{'about ' if grouped else ''}step {a:.0f}: {show(m)}" for a, m in zip(at, mean, strict=True)]
    if ends is not None and not grouped:
        pairs = zip(labels, *ends, strict=True)
        labels = [f"{label}, 95 % interval {show(low)} to {show(high)}" for label, low, high in pairs]
    outline = [values[group].max() for group in groups] + [values[group].min() for group in groups[::-1]]
    return CurveChart(
        name=name,
        title=title,
        description=_describe(title, steps, values, show),
        height=height,
        x=x,
        y=y,
        band=_path(x, y, [*at, *at[::-1]], outline) if grouped else "",
        raw=_path(x, y, at, mean),
        smooth="" if smoothed is None else _path(x, y, at, smoothed.tolist()),
        intervals="" if ends is None else _uprights(x, y, steps, *ends),
        last=(x.place(steps[-1]), y.place(values[-1]), show(float(values[-1]))),
        reference=y.place(reference) if reference is not None and bottom <= reference <= top else None,
        marks=_marks(x, y, at, labels, mean),
    )


def room(
    low: float, high: float, reference: float | None = None, *, share: bool = False
) -> tuple[float, float]:
    """The range of the values with a margin, which for shares ends at 0 and 1.

    It is stretched to a reference that is no further away than the values are wide.
    """
    low, high = float(low), float(high)
    if reference is not None and low - (high - low) <= reference <= high + (high - low):
        low, high = min(low, reference), max(high, reference)
    margin = 0.04 * (high - low)
    bottom, top = low - margin, high + margin
    if share:
        bottom, top = max(bottom, min(low, 0.0)), min(top, max(high, 1.0))
    return bottom, top


def local_mean(values: np.ndarray) -> np.ndarray | None:
    """A line fitted to each value's neighbours, taken at the value's own place.

    Neighbours weigh by a Gaussian whose standard deviation is a twentieth of the length (at least 2).
    Values on a straight line come back as they are, also at the ends; none leaves the range of the values.
    None for fewer than 6 values.
    """
    count = len(values)
    if count < 6:
        return None
    places = np.arange(count) / max(2.0, count / 20)
    weights = np.exp(-0.5 * (places[:, None] - places) ** 2)
    weights /= weights.sum(1, keepdims=True)
    centre, mean = weights @ places, weights @ values
    slope = (weights @ (places * values) - centre * mean) / (weights @ places**2 - centre**2)
    return (mean + slope * (places - centre)).clip(values.min(), values.max())


def _path(x: Axis, y: Axis, at: Sequence[float], values: Sequence[float]) -> str:
    return " ".join(f"{x.place(a):g},{y.place(v):g}" for a, v in zip(at, values, strict=True))


def _uprights(x: Axis, y: Axis, steps: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """An upright line for every interval that has both ends."""
    there = np.isfinite(low) & np.isfinite(high)
    rows = zip(steps[there], low[there], high[there], strict=True)
    return "".join(f"M{x.place(s):g} {y.place(a):g}V{y.place(b):g}" for s, a, b in rows)


def _describe(title: str, steps: np.ndarray, values: np.ndarray, show: Callable[[float], str]) -> str:
    first, last = (f"{show(float(values[i]))} at step {steps[i]:g}" for i in (0, -1))
    if len(steps) == 1:
        return f"{title}: {first}, the only step recorded."
    extremes = f"Lowest {show(float(values.min()))}, highest {show(float(values.max()))}"
    return f"{title}: from {first} to {last}. {extremes}, over {len(steps)} steps."


def _marks(
    x: Axis, y: Axis, at: Sequence[float], labels: Sequence[str], values: Sequence[float]
) -> list[Mark]:
    """One mark per place, each reaching half way to its neighbours; at most `MOST_MARKS`, evenly chosen."""
    chosen: list[int] = np.unique(
        np.linspace(0, len(at) - 1, min(len(at), MOST_MARKS)).round().astype(int)
    ).tolist()
    centres = [x.place(at[i]) for i in chosen]
    edges = [LEFT, *((a + b) / 2 for a, b in pairwise(centres)), WIDTH - RIGHT]
    return [
        Mark(round(left, 1), round(right - left, 1), centre, y.place(values[i]), labels[i])
        for i, centre, (left, right) in zip(chosen, centres, pairwise(edges), strict=True)
    ]


@dataclass(frozen=True)
class Whisker:
    """A value with its interval, on one line of an interval chart."""

    when: str
    y: float
    x: float
    low: float
    high: float
    label: str


@dataclass(frozen=True)
class IntervalChart:
    """Shares with intervals, several per row, on one axis from 0 to 100 %."""

    title: str
    description: str
    height: float
    x: Axis
    rows: tuple[tuple[str, float, tuple[Whisker, ...]], ...]
    """Name, vertical centre, and its whiskers."""


ROW, APART, HEAD = 44, 8, 12


def interval_chart(
    title: str, rows: Mapping[str, Mapping[str, tuple[float, float | None, float | None]]]
) -> IntervalChart:
    """Shares in [0, 1] with intervals: row name -> "before"/"after" -> (value, low, high)."""
    x = axis(0.0, 1.0, 62, WIDTH - 14, ticks=5, share=True)
    drawn, said = [], []
    for place, (name, measured) in enumerate(rows.items()):
        middle = HEAD + ROW * (place + 0.5)
        whiskers = []
        for when, (value, low, high) in measured.items():
            centre, left, right = (
                x.place(min(max(share, 0.0), 1.0)) for share in (value, _or(low, value), _or(high, value))
            )
            label = f"{name}, {when}: {percent(value)}, 95 % interval {percent(low)} to {percent(high)}"
            whiskers.append(
                Whisker(when, middle + (-APART if when == "before" else APART), centre, left, right, label)
            )
            said.append(label)
        drawn.append((name, middle, tuple(whiskers)))
    return IntervalChart(title, "; ".join(said) + ".", HEAD + ROW * len(rows) + 24, x, tuple(drawn))


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
