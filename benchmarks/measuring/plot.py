"""Lines over sizes as an SVG of small panels, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from sightline.analysis.charts.axes import Axis, axis

WIDTH, HEIGHT = 300, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 34, 40
COLOURS = {"ours": "#1f77b4", "plain": "#999999"}


@dataclass(frozen=True)
class Panel:
    """One measure over one size."""

    title: str
    unit: str
    across: str
    sizes: Sequence[float]
    lines: dict[str, Sequence[float]]
    """"ours" and "plain", one value a size."""


def write(file: Path, panels: Sequence[Panel], columns: int) -> None:
    """Panels row by row."""
    rows = -(-len(panels) // columns)
    width, height = columns * WIDTH, rows * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="11" fill="#777">'
    ]
    for number, panel in enumerate(panels):
        x, y = number % columns * WIDTH, number // columns * HEIGHT
        parts.append(f'<g transform="translate({x} {y})">{_drawn(panel)}</g>')
    file.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _drawn(panel: Panel) -> str:
    across = axis(0, max(panel.sizes), LEFT, WIDTH - RIGHT, ticks=4)
    largest = max(max(values) for values in panel.lines.values())
    up = axis(0, largest * 1.05, HEIGHT - BOTTOM, TOP, ticks=4)
    parts = [f'<text x="{LEFT}" y="18" font-size="12">{escape(panel.title)}, {escape(panel.unit)}</text>']
    for place, label in up.ticks:
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place}" y2="{place}" stroke="#ccc" '
            f'stroke-width=".5"/><text x="{LEFT - 6}" y="{place + 4}" text-anchor="end">{label}</text>'
        )
    for place, label in across.ticks:
        parts.append(f'<text x="{place}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{label}</text>')
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(panel.across)}</text>'
    )
    ends = [up.place(values[-1]) for values in panel.lines.values()]
    for name, values in panel.lines.items():
        crowded = max(ends) - min(ends) < 14 and up.place(values[-1]) == max(ends)
        parts.append(_line(panel, name, values, across, up, 16 if crowded else -6))
    return "".join(parts)


def _line(
    panel: Panel, name: str, values: Sequence[float], across: Axis, up: Axis, label_from_end: float
) -> str:
    points = [(across.place(size), up.place(value)) for size, value in zip(panel.sizes, values, strict=True)]
    colour = COLOURS[name]
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2.2" fill="{colour}"/>' for x, y in points)
    path = " ".join(f"{x},{y}" for x, y in points)
    x, y = points[-1]
    label = f'<text x="{x}" y="{y + label_from_end}" text-anchor="end" fill="{colour}">{name}</text>'
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>{dots}{label}'
