"""The pictures of docs/results.md, drawn from the same numbers as its words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from sightline.analysis.figures.canvas import BLUE, GREY, INKS, ORANGE, panels, save, styled

CHECKPOINTS = {
    "start": "Shapes, start",
    "late": "Shapes, after 40 steps",
    "two": "Shapes-2, start",
    "later": "Shapes-2, after 60 slow steps",
    "faster": "Shapes-2, after 60 steps",
}
WEIGHTINGS = {
    "vgpo": "VGPO",
    "vppo": "VPPO",
    "pgpo": "PGPO",
    "saturated": "saturated (ours)",
    "read only": "read tokens only (oracle)",
    "template only": "template only (oracle)",
}


def draw(found: Mapping[str, Any], folder: Path) -> None:
    """Write results-gains.svg and results-differences.svg."""
    with styled():
        figure, axes = panels(len(CHECKPOINTS), height=1.9)
        for place, (axis, (name, title)) in enumerate(zip(axes, CHECKPOINTS.items(), strict=True)):
            axis.set_title(title)
            _gains(axis, found[name]["weightings"], labelled=place % 3 == 0)
        save(figure, folder, "results-gains")
        figure, axes = panels(2, height=2.6)
        for axis, (name, title) in zip(axes, {"main": "Shapes", "second": "Shapes-2"}.items(), strict=True):
            axis.set_title(f"{title}, {found[name]['seeds']} seeds")
            _differences(axis, found[name])
        save(figure, folder, "results-differences")
    for name in ("results-gains", "results-differences"):
        (folder / f"{name}.png").unlink()  # the pages show the SVG


def _gains(axis: Axes, weightings: Mapping[str, Any], *, labelled: bool) -> None:
    """The gain of an update of equal size by weighting, with its jackknife error; 1 is even weights."""
    axis.axvline(1, color=GREY, lw=0.8)
    for place, (name, ink) in enumerate(zip(WEIGHTINGS, INKS, strict=False)):
        if name in weightings:
            gain = weightings[name]["progress"]
            axis.errorbar(gain["value"], -place, xerr=gain["error"], fmt="o", color=ink, ms=4, lw=1.2)
    axis.set_yticks([-place for place in range(len(WEIGHTINGS))], [*WEIGHTINGS.values()] if labelled else [])
    axis.set(xlim=(0, 2), xticks=(0, 0.5, 1, 1.5, 2), xlabel="gain, even weights = 1")


def _differences(axis: Axes, study: Mapping[str, Any]) -> None:
    """Mean sampled accuracy over training minus the baseline's; orange where the interval leaves 0 out."""
    axis.axvline(0, color=GREY, lw=0.8)
    gaps = {
        name: arm["differences"]["sampled area"]
        for name, arm in study["arms"].items()
        if "differences" in arm
    }
    for place, gap in enumerate(gaps.values()):
        value, low, high = (100 * gap[key] for key in ("value", "low", "high"))
        ink = BLUE if low < 0 < high else ORANGE
        axis.errorbar(value, -place, xerr=[[value - low], [high - value]], fmt="o", color=ink, ms=4, lw=1.2)
    axis.set_yticks([-place for place in range(len(gaps))], list(gaps))
    axis.set(xlabel=f"points against {study['baseline']}, 95 % interval")
