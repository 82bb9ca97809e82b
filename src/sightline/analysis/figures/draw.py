"""Tables to figures: what each looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..charts.geometry import local_mean
from ..charts.metric_titles import MetricColumn
from ..tokens.score_statistics import TOP
from ..tokens.shading import words
from .canvas import BLUE, DASHES, GREY, INKS, ORANGE, VERDICTS, label, panels, plain_numbers
from .curves import Curve
from .tables import FigureTable

SMOOTHED = 60
"""Curves of more points are drawn as their local mean, the points themselves thin."""


def _by_score(table: FigureTable, draw: Callable[[Axes, list[dict[str, Any]]], None], **shape: Any) -> Figure:
    """One panel per score."""
    scores = table.distinct("score")
    figure, axes = panels(len(scores), **shape)
    for axis, name in zip(axes, scores, strict=True):
        axis.set_title(label(words(name)))
        draw(axis, table.where(score=name))
    return figure


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], dtype=float)


def histogram(table: FigureTable) -> Figure:
    """Tokens by dependency, counts on a log axis."""

    def draw(axis: Axes, rows: list[dict[str, Any]]) -> None:
        low, high = _column(rows, "from"), _column(rows, "to")
        axis.bar(
            low, _column(rows, "tokens"), high - low, align="edge", color=BLUE, edgecolor="white", lw=0.3
        )
        axis.set_yscale("log")
        plain_numbers(axis.yaxis)
        axis.set(xlabel="nats (last bar: and above)", ylabel="tokens")

    return _by_score(table, draw)


def mass(table: FigureTable) -> Figure:
    """The share of the whole that the highest tokens hold, with the papers' fractions written on."""
    figure, (axis,) = panels(1, height=3.2)
    for place, name in enumerate(table.distinct("score")):
        rows = table.where(score=name)
        ink, dash = INKS[place % len(INKS)], DASHES[place % len(DASHES)]
        x, y = _column(rows, "highest_tokens"), _column(rows, "share_of_mass")
        axis.plot(x, y, color=ink, ls=dash, lw=1.6, label=label(words(name)))
        marked = np.isin(x, TOP)
        axis.plot(x[marked], y[marked], "o", color=ink, ms=3.5)
    axis.set_xscale("log")
    axis.set_xticks([0.01, *TOP, 1.0], [f"{100 * f:g}" for f in (0.01, *TOP, 1.0)])
    axis.minorticks_off()
    axis.set(xlabel="highest tokens, % of all", ylabel="share of the whole score", ylim=(0, 1.03))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_title("Dependency held by the highest tokens")
    axis.legend(loc="lower right")
    return figure


def means(table: FigureTable) -> Figure:
    """Answers by their mean score."""

    def draw(axis: Axes, rows: list[dict[str, Any]]) -> None:
        for verdict in dict.fromkeys(row["answers"] for row in rows):
            mine = [row for row in rows if row["answers"] == verdict]
            ink, dash, _ = VERDICTS[verdict]
            edges = [*_column(mine, "from"), mine[-1]["to"]]
            axis.stairs(_column(mine, "count"), edges, color=ink, ls=dash, lw=1.5, label=verdict)
            axis.stairs(_column(mine, "count"), edges, color=ink, alpha=0.15, fill=True)
        axis.set(xlabel="mean score of an answer", ylabel="answers")
        axis.legend()

    return _by_score(table, draw)


def progress(table: FigureTable) -> Figure:
    """Scores over the course of the answer."""

    def draw(axis: Axes, rows: list[dict[str, Any]]) -> None:
        for verdict in dict.fromkeys(row["answers"] for row in rows):
            _banded(axis, [row for row in rows if row["answers"] == verdict], VERDICTS[verdict][:2], verdict)
        axis.set(xlabel="progress of the answer, %", ylabel="mean score", xlim=(0, 100))
        axis.legend()

    return _by_score(table, draw)


def _banded(axis: Axes, rows: list[dict[str, Any]], style: tuple[Any, Any], name: str) -> None:
    x = _column(rows, "progress_percent")
    ink, dash = style
    axis.fill_between(x, _column(rows, "low"), _column(rows, "high"), color=ink, alpha=0.15, lw=0)
    count = rows[0].get("count", rows[0].get("answers"))
    middle = _column(rows, "mean")
    axis.plot(x, middle, color=ink, ls=dash, lw=1.6, label=f"{name} (n = {count})")
    if middle.min() >= 0 and (axis.get_ylim()[0] < 0 or middle.min() < 0.2 * middle.max()):
        axis.set_ylim(bottom=0)


def ratios(table: FigureTable) -> Figure:
    """Late over early, a line at 1."""
    scores = table.distinct("score")
    figure, (axis,) = panels(1, height=0.9 + 0.42 * len(scores))
    for verdict in table.distinct("answers"):
        rows = table.where(answers=verdict)
        ink, _, mark = VERDICTS[verdict]
        off = {"right": -0.14, "wrong": 0.14}.get(verdict, 0.0)
        y = [scores.index(row["score"]) + off for row in rows]
        _whiskers(axis, rows, "late_over_early", y, ink, mark, verdict)
    axis.axvline(1.0, color=GREY, lw=0.8, ls=DASHES[1])
    axis.set_xscale("log")
    plain_numbers(axis.xaxis)
    axis.set_yticks(range(len(scores)), [label(words(name)) for name in scores])
    axis.invert_yaxis()
    axis.set_xlabel("late / early score")
    axis.set_title("Second half of the answers over the first")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _whiskers(
    axis: Axes,
    rows: list[dict[str, Any]],
    value: str,
    y: Sequence[float],
    ink: str,
    mark: str,
    name: str = "",
) -> None:
    x, low, high = (_column(rows, column) for column in (value, "low", "high"))
    errors = np.nan_to_num(np.stack([x - low, high - x]).clip(0))
    axis.errorbar(x, y, xerr=errors, fmt=mark, color=ink, ms=4, lw=1.2, capsize=2, label=name or None)


def classes(table: FigureTable) -> Figure:
    """Mean score by class of words."""

    def draw(axis: Axes, rows: list[dict[str, Any]]) -> None:
        _whiskers(axis, rows, "mean", range(len(rows)), BLUE, "o")
        axis.set_yticks(range(len(rows)), [row["class"] for row in rows])
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xlabel("mean score")

    return _by_score(table, draw, height=2.0)


def highest_words(table: FigureTable) -> Figure:
    """The highest words, longest bar first."""
    most = max(len(table.where(score=name)) for name in table.distinct("score"))

    def draw(axis: Axes, rows: list[dict[str, Any]]) -> None:
        y = range(len(rows))
        axis.barh(y, _column(rows, "mean"), color=BLUE, height=0.7)
        axis.set_yticks(y, [f"{label(row['word'], 16)} ×{row['occurrences']}" for row in rows])
        axis.set_ylim(most - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("mean score")

    return _by_score(table, draw, height=0.7 + 0.17 * most)


def attention(table: FigureTable) -> Figure:
    """Where attention goes over the course of the answer."""
    figure, (axis,) = panels(1, height=2.8)
    styles = ((ORANGE, DASHES[0]), (BLUE, DASHES[1]), (GREY, DASHES[2]))
    for name, style in zip(table.distinct("attention_to"), styles, strict=False):
        _banded(axis, table.where(attention_to=name), style, name)
    axis.set(xlabel="progress of the answer, %", ylabel="share of attention", xlim=(0, 100), ylim=(0, None))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_title("Attention to image, question and answer so far")
    axis.legend()
    return figure


def training(drawn: Sequence[tuple[MetricColumn, Sequence[Curve]]], order: Sequence[str]) -> Figure:
    """Training curves, one panel per quantity; `order` names every experiment, in every figure alike."""
    figure, axes = panels(len(drawn))
    handles: dict[str, Any] = {}
    for axis, (quantity, found) in zip(axes, drawn, strict=True):
        for curve in found:
            place = order.index(curve.label)
            ink, dash = INKS[place % len(INKS)], DASHES[place % len(DASHES)]
            axis.fill_between(curve.steps, curve.low, curve.high, color=ink, alpha=0.15, lw=0)
            smooth = local_mean(curve.mean) if len(curve.mean) > SMOOTHED else None
            if smooth is not None:
                axis.plot(curve.steps, curve.mean, color=ink, lw=0.5, alpha=0.3)
            (line,) = axis.plot(
                curve.steps, curve.mean if smooth is None else smooth, color=ink, ls=dash, lw=1.4
            )
            runs = int(curve.runs.max())
            handles.setdefault(label(curve.label) + (f" ({runs} runs)" if runs > 1 else ""), line)
        if quantity.reference is not None:
            axis.axhline(quantity.reference, color=GREY, lw=0.8, ls=DASHES[2])
        if quantity.share:
            axis.yaxis.set_major_formatter(PercentFormatter(1.0))
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_title(label(quantity.title))
        axis.set_xlabel("step")
    if len(order) > 1 or any("runs)" in name for name in handles):
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(3, len(handles)))
    return figure
