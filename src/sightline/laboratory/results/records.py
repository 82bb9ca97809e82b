"""Finished run folders -> one record per run: its curves and the numbers that stand for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...analysis.readers.metrics import Metrics, MetricsReader
from ..study.folder import StudyFolder, StudyRun
from ..study.held_out import read_rights
from ..study.plan import CURVES, Plan

PAIRED = ("pairs_right", "relevant_pairs_right", "sensitivity", "stability")
"""What is told of minimal pairs, of studies that measure any."""
COLLAPSED_BELOW = 0.8
"""A run has collapsed if its last sampled accuracy is below this share of its own best."""

Column = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Record:
    """One finished run."""

    arm: str
    seed: int
    held_out: Metrics
    """What was measured on the held-out problems, by step."""
    training: Metrics
    """What training logged, by step."""
    values: Mapping[str, float | None]
    """The numbers that stand for the run: `run_values`."""
    rights: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Of `sampled` and `greedy`: how many answers to every problem were right after the last step; NaN where
    one was not judged."""

    @property
    def cpu_seconds(self) -> float:
        """What training took on one thread, in all."""
        return float(self.held_out.columns["cpu_seconds"][-1])


def records(folder: StudyFolder, plan: Plan) -> list[Record]:
    """The finished runs, arm by arm in the plan's order, by seed."""
    return [
        record(arm.name, seed, folder.run(arm.name, seed), plan)
        for arm in plan.arms
        for seed in plan.run_seeds
        if folder.run(arm.name, seed).finished
    ]


def record(arm: str, seed: int, run: StudyRun, plan: Plan) -> Record:
    """One finished run, read from its files."""
    rows = run.read_evaluations()
    steps = np.array([row["step"] for row in rows], dtype=float)
    names = dict.fromkeys(
        name for row in rows for name, value in row.items() if name != "step" and not isinstance(value, str)
    )
    columns = {name: np.array([_number(row.get(name)) for row in rows]) for name in names}
    held_out = Metrics(steps, columns)
    reader = MetricsReader()
    reader.feed(run.read_metrics())
    training = reader.table()
    last = {name: read_rights(value) for name, value in rows[-1].items() if isinstance(value, str)}
    rights = {curve: last[f"{curve}_right"] for curve in CURVES if f"{curve}_right" in last}
    return Record(arm, seed, held_out, training, run_values(held_out, training, plan.target), rights)


def run_values(held_out: Metrics, training: Metrics, target: float | None) -> dict[str, float | None]:
    """The numbers that stand for a run.

    For `sampled` and `greedy` accuracy: `final`, the last value, and `area`, the mean over training,
    (Σ (s_k − s_{k−1})(a_k + a_{k−1})/2) / (s_K − s_0). Then the last `blind` accuracy, `dependency`,
    `half_of_kl` and `late_over_early` of `held_out.measured`, and what it says of pairs, where it does;
    `entropy`, the mean of the last five steps; `tokens`, the mean length of a training answer;
    `seconds per step` of CPU time on one thread; `collapsed`, 1 or 0; `steps to target`, between two
    measurements on a straight line, None if it was never reached.
    """
    found: dict[str, float | None] = {}
    for curve in CURVES:
        found[f"{curve} final"] = float(held_out.columns[curve][-1])
        found[f"{curve} area"] = area(held_out.steps, held_out.columns[curve])
    for name in ("blind", "dependency", "half_of_kl", "late_over_early", *PAIRED):
        column = held_out.columns.get(name)
        if column is None and name in PAIRED:
            continue
        found[name] = None if column is None or not np.isfinite(column[-1]) else float(column[-1])
    _, entropy = training.recorded("entropy")
    _, lengths = training.recorded("completions/mean_length")
    sampled = held_out.columns["sampled"]
    span = held_out.steps[-1] - held_out.steps[0]
    return {
        **found,
        "entropy": float(entropy[-5:].mean()) if len(entropy) else None,
        "tokens": float(lengths.mean()) if len(lengths) else None,
        "seconds per step": float(held_out.columns["cpu_seconds"][-1] / span) if span else None,
        "collapsed": float(sampled[-1] < COLLAPSED_BELOW * sampled.max()),
        "steps to target": None if target is None else steps_to(held_out.steps, sampled, target),
    }


def area(steps: Column, values: Column) -> float:
    """The mean of a curve over its steps, by trapezoids; its value if there is one step."""
    if len(steps) < 2:
        return float(values[-1])
    return float(np.trapezoid(values, steps) / (steps[-1] - steps[0]))


def steps_to(steps: Column, values: Column, target: float) -> float | None:
    """The first step at which the curve reaches `target`, on straight lines between measurements."""
    above = np.flatnonzero(values >= target)
    if not len(above):
        return None
    place = int(above[0])
    if place == 0:
        return float(steps[0])
    low, high = values[place - 1], values[place]
    return float(steps[place - 1] + (target - low) / (high - low) * (steps[place] - steps[place - 1]))


def at_step(one: Record, curve: str, step: float) -> float:
    """A held-out curve at any step up to its last, on straight lines between measurements."""
    return float(np.interp(step, one.held_out.steps, one.held_out.columns[curve]))


def by_arm(found: list[Record]) -> Iterator[tuple[str, list[Record]]]:
    """The records of each arm that has any."""
    for arm in dict.fromkeys(one.arm for one in found):
        yield arm, [one for one in found if one.arm == arm]


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
