"""What the pages about runs have in common: accuracies, curves, problems, as values for templates."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ...tasks.task_names import task_name
from ..charts.geometry import IntervalChart, curve_chart, interval_chart
from ..charts.metric_titles import MetricColumn, groups, interval_columns
from ..charts.number_format import points
from ..readers.metrics import Metrics
from ..readers.run import Interval, SavedRun
from ..readers.samples import Sample
from ..readers.settings import shown
from ..tokens.strips import shades, strip

PROTOCOLS = ("greedy", "sampled", "blind")


def subject(run: SavedRun) -> dict[str, str]:
    """What was trained, on what, by which method."""
    model = run.config.get("model", run.config.get("model_name_or_path"))
    task = run.config.get("task")
    name = None if task is None else task_name(task)
    found = {"method": run.config.get("method"), "task": name, "model": model}
    return {name: shown(value) if value is not None else "unknown" for name, value in found.items()}


def accuracy_rows(run: SavedRun) -> list[dict[str, Any]]:
    """Rows of the accuracy table: protocol, before, after, and the difference in points."""
    before, after = run.evaluation["before"], run.evaluation["after"]
    names = sorted({*before, *after}, key=lambda name: (rank(name), name))
    return [{"name": name, **_change(before.get(name), after.get(name))} for name in names]


def reward_rows(run: SavedRun) -> list[dict[str, Any]]:
    """Rows of the table of rewards: name, before, after, and the difference."""
    before, after = run.rewards["before"], run.rewards["after"]
    rows = []
    for name in dict.fromkeys([*before, *after]):
        pair = before.get(name), after.get(name)
        change = None if pair[0] is None or pair[1] is None else pair[1].value - pair[0].value
        rows.append({"name": name, "before": pair[0], "after": pair[1], "change": change})
    return rows


def rank(name: str) -> int:
    """The place of a protocol: the usual ones in their order, then all others."""
    return PROTOCOLS.index(name) if name in PROTOCOLS else len(PROTOCOLS)


def _change(before: Interval | None, after: Interval | None) -> dict[str, Any]:
    if before is None or after is None:
        return {"before": before, "after": after, "change": points(None), "overlap": False}
    change = points(after.value - before.value)
    return {"before": before, "after": after, "change": change, "overlap": before.overlaps(after)}


def interval_rows(run: SavedRun) -> IntervalChart | None:
    """The chart of the accuracies before and after training; None if there are none."""
    rows = {
        row["name"]: {
            when: (row[when].value, row[when].low, row[when].high)
            for when in ("before", "after")
            if row[when]
        }
        for row in accuracy_rows(run)
    }
    return interval_chart("Accuracy before and after training", rows) if rows else None


def curve_charts(metrics: Metrics) -> dict[str, list[Any]]:
    """Heading -> charts of the quantities that were recorded at least once.

    A reward that is the accuracy at every step is drawn once.
    """
    drawn = dict(metrics.columns)
    for prefix in ("", "eval_"):
        if rewards_accuracy(metrics, prefix):
            del drawn[f"{prefix}reward"]
    return {heading: [_curve(metrics, q) for q in chosen] for heading, chosen in groups(drawn).items()}


def rewards_accuracy(metrics: Metrics, prefix: str = "") -> bool:
    """Whether the reward was the accuracy at every step, so that one of the curves says all."""
    accuracy, reward = (metrics.columns.get(f"{prefix}{name}") for name in ("accuracy", "reward"))
    return accuracy is not None and reward is not None and np.array_equal(accuracy, reward, equal_nan=True)


def _curve(metrics: Metrics, shown: MetricColumn) -> Any:
    steps, values = metrics.recorded(shown.name)
    at = np.searchsorted(metrics.steps, steps)
    low, high = (metrics.columns.get(name) for name in interval_columns(shown.name))
    ends = None if low is None or high is None else (low[at], high[at])
    return curve_chart(
        shown.name, shown.title, steps, values, ends=ends, reference=shown.reference, share=shown.share
    )


def problems(samples: tuple[Sample, ...]) -> dict[str, Any]:
    """The held-out problems as strips of shaded tokens, and how their verdicts changed."""
    answers = [answer for sample in samples for answer in (sample.before, sample.after) if answer]
    scales = shades(answers)
    listed = [
        {
            "sample": sample,
            "outcome": _outcome(sample),
            "answers": {
                when: {"answer": answer, "strip": strip(answer, scales) if answer else None}
                for when, answer in (("before", sample.before), ("after", sample.after))
            },
        }
        for sample in samples
    ]
    outcomes = Counter(problem["outcome"] for problem in listed if problem["outcome"])
    return {"scales": scales, "problems": listed, "outcomes": outcomes.most_common()}


def _outcome(sample: Sample) -> str | None:
    """The two verdicts in words, if both are known: `wrong → correct`."""
    verdicts = [
        answer.correct for answer in (sample.before, sample.after) if answer and answer.correct is not None
    ]
    return (
        " → ".join("correct" if verdict else "wrong" for verdict in verdicts) if len(verdicts) == 2 else None
    )
