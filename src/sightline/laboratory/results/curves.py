"""Curves of every arm over training, seeds as a mean with a band: as figures, charts of the page, CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...analysis.charts.metric_titles import MetricColumn
from ...analysis.charts.overlays import overlay_chart
from ...analysis.figures import curve_table, write_csv
from ...analysis.figures.curves import Curve, curves
from .records import Record

HELD_OUT = {
    "sampled": MetricColumn("sampled", "Held-out accuracy, sampled", share=True),
    "greedy": MetricColumn("greedy", "Held-out accuracy, greedy", share=True),
    "blind": MetricColumn("blind", "Held-out accuracy, blind", share=True),
    "relevant_pairs_right": MetricColumn("relevant_pairs_right", "Relevant pairs right", share=True),
    "dependency": MetricColumn("dependency", "Visual dependence, nats a token"),
    "half_of_kl": MetricColumn("half_of_kl", "Tokens with half of the dependence", share=True),
    "late_over_early": MetricColumn("late_over_early", "Visual focus, late / early", reference=1.0),
}
TRAINING = {
    "entropy": MetricColumn("entropy", "Entropy of the policy, nats"),
    "completions/mean_length": MetricColumn("completions/mean_length", "Answer length, tokens"),
    "grad_norm": MetricColumn("grad_norm", "Norm of the gradient"),
    "weights/effective_sample_share": MetricColumn(
        "weights/effective_sample_share", "Weights, effective sample share", share=True
    ),
}

Drawn = list[tuple[MetricColumn, list[Curve]]]


def study_curves(found: Sequence[Record]) -> dict[str, Drawn]:
    """Heading -> what is drawn under it, from held-out measurements and from training."""
    held_out = [(one.arm, one.held_out) for one in found]
    training = [(one.arm, one.training) for one in found]
    sides = {"Held-out problems": (HELD_OUT, held_out), "Training": (TRAINING, training)}
    drawn = {
        heading: [(quantity, lines) for name, quantity in wanted.items() if (lines := curves(runs, name))]
        for heading, (wanted, runs) in sides.items()
    }
    return {heading: panels for heading, panels in drawn.items() if panels}


def charts(drawn: dict[str, Drawn], order: Sequence[str]) -> dict[str, list[Any]]:
    """The same as charts of a page."""
    return {
        heading: [overlay_chart(quantity, lines, order) for quantity, lines in panels]
        for heading, panels in drawn.items()
    }


def write_curves(drawn: dict[str, Drawn], order: Sequence[str], folder: Path) -> list[Path]:
    """The same as SVG, PNG and CSV; the band is from the lowest to the highest seed."""
    from ...analysis.figures import draw
    from ...analysis.figures.canvas import save, styled

    paths: list[Path] = []
    for heading, panels in drawn.items():
        name = f"curves-{heading.lower().replace(' ', '-')}"
        with styled():
            paths += save(draw.training(panels, order), folder, name)
        paths.append(write_csv(folder / f"{name}.csv", curve_table({q.name: found for q, found in panels})))
    return paths
