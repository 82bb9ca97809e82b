"""Charts with one line per experiment, as geometry; the markup is in `templates/charts.html`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..figures.curves import Curve
from .axes import Axis, axis
from .geometry import LEFT, WIDTH, local_mean, room
from .metric_titles import MetricColumn
from .number_format import numeral, percent

RIGHT = 66
HEIGHT = 210
SMOOTHED = 40
"""Curves of more points are drawn as their local mean."""
APART = 12
"""Least distance of two labels at the ends of lines."""


@dataclass(frozen=True)
class Line:
    """One experiment's curve."""

    place: int
    """The experiment's place, from 0: its colour, its dashes and its letter."""
    letter: str
    band: str
    points: str
    end: tuple[float, float]
    label_y: float
    value: str
    said: str


@dataclass(frozen=True)
class OverlayChart:
    """One quantity of several experiments."""

    name: str
    title: str
    description: str
    height: float
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    reference: float | None


def letter(place: int) -> str:
    """What an experiment is called on charts: A, B, ..., Z, then numbers."""
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def overlay_chart(quantity: MetricColumn, found: Sequence[Curve], order: Sequence[str]) -> OverlayChart:
    """The curves of one quantity; `order` names all experiments, which sets colours and letters."""
    lows, highs = (np.concatenate([getattr(curve, side) for curve in found]) for side in ("low", "high"))
    bottom, top = room(lows.min(), highs.max(), share=quantity.share)
    steps = np.concatenate([curve.steps for curve in found])
    x = axis(float(steps.min()), float(steps.max()), LEFT, WIDTH - RIGHT, ticks=4, whole=True)
    y = axis(bottom, top, HEIGHT - 32, 10, ticks=4, share=quantity.share)
    lines = [_line(curve, order.index(curve.label), x, y, quantity.share) for curve in found]
    near = quantity.reference is not None and bottom <= quantity.reference <= top
    return OverlayChart(
        name=quantity.name,
        title=quantity.title,
        description="; ".join(line.said for line in lines) + ".",
        height=HEIGHT,
        x=x,
        y=y,
        lines=_spread(lines),
        reference=y.place(quantity.reference) if near and quantity.reference is not None else None,
    )


def _line(curve: Curve, place: int, x: Axis, y: Axis, share: bool) -> Line:
    smooth = local_mean(curve.mean) if len(curve.mean) > SMOOTHED else None
    shown = curve.mean if smooth is None else smooth
    last, step = float(shown[-1]), float(curve.steps[-1])
    value = percent(last) if share else numeral(last, digits=3)
    runs = int(curve.runs.max())
    around = ([*curve.steps, *curve.steps[::-1]], [*curve.high, *curve.low[::-1]])
    count = f" (mean of {runs} runs)" if runs > 1 else ""
    return Line(
        place=place,
        letter=letter(place),
        band=_path(x, y, *around) if runs > 1 else "",
        points=_path(x, y, curve.steps, shown),
        end=(x.place(step), y.place(last)),
        label_y=0.0,
        value=value,
        said=f"{letter(place)}, {curve.label}{count}: {value} at step {step:g}",
    )


def _path(x: Axis, y: Axis, at: Sequence[float] | np.ndarray, values: Sequence[float] | np.ndarray) -> str:
    return " ".join(f"{x.place(float(a)):g},{y.place(float(v)):g}" for a, v in zip(at, values, strict=True))


def _spread(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines from the highest end to the lowest, with labels moved apart and kept above the axis."""
    ordered = sorted(lines, key=lambda line: line.end[1])
    places = [line.end[1] + 4 for line in ordered]
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + APART)
    limit = HEIGHT - 34.0
    for index in reversed(range(len(places))):
        places[index] = min(places[index], limit)
        limit = places[index] - APART
    return tuple(replace(line, label_y=round(y, 1)) for line, y in zip(ordered, places, strict=True))
