"""Matplotlib, set up once for every figure: no global state, no display, text that is never a formula."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from ..charts.number_format import numeral
from ..pages.base import printable

BLUE, ORANGE, GREY, RULE = "#1b5c98", "#d97706", "#5c5c62", "#dddbd3"
INKS = (BLUE, ORANGE, "#0a7d5a", "#a0357a", "#55524a", "#2ea3d5", "#7a5a00", "#c23b22")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
VERDICTS = {"right": (BLUE, DASHES[0], "o"), "wrong": (ORANGE, DASHES[1], "s"), "all": (GREY, DASHES[0], "o")}
"""Colour, dash and mark of right and wrong answers: told apart without colour."""

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelcolor": GREY,
    "axes.labelsize": 8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.constrained_layout.w_pad": 0.06,
    "figure.dpi": 200,  # laid out with the widths of letters that the PNG will have
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "sightline",
    "text.parse_math": False,
    "xtick.color": GREY,
    "xtick.labelsize": 7.5,
    "ytick.color": GREY,
    "ytick.labelsize": 7.5,
}
WIDTH, HEIGHT = 3.3, 2.35
"""Of one panel, in inches."""


@contextmanager
def styled() -> Iterator[None]:
    """Everything drawn and saved inside looks alike; settings of the caller's come back after."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # A glyph that DejaVu lacks is a box in the PNG; the SVG and the CSV hold the text itself.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def panels(count: int, *, across: int = 3, height: float = HEIGHT) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels in rows; a single one is wider."""
    columns = min(across, count)
    rows = -(-count // columns)
    width = WIDTH * columns if count > 1 else 1.5 * WIDTH
    figure = Figure(figsize=(width, height * rows + 0.25), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write SVG and PNG; equal figures give equal files."""
    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, not once per file
    figure.savefig(paths[0], metadata={"Date": None, "Creator": "Sightline"})
    figure.savefig(paths[1], metadata={"Software": "Sightline"})
    return paths


def plain_numbers(axis: Axis) -> None:
    """Labels of a log axis as plain numbers; matplotlib's own are formulas."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: numeral(value, 4)))
    axis.set_minor_formatter(NullFormatter())


def label(text: Any, longest: int = 32) -> str:
    """Text of anyone's as it may stand on a figure: short, one line, nothing hidden in it."""
    clean = " ".join(str(printable(str(text))).split()) or repr(str(text))
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"
