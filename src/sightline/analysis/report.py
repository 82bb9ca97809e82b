"""The report of one run: `report.html`, a single file that needs nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..runs import RunFolder, write_text
from .charts import IntervalChart, curve_chart, interval_chart
from .metrics import Metrics
from .numerals import duration, points
from .pages import page
from .quantities import Quantity, groups, quantity
from .samples import Sample
from .saved import Interval, SavedRun, read_run
from .settings import settings, shown
from .tokens import shades, strip

MOST_ROWS = 300
PROTOCOLS = ("greedy", "sampled", "blind")


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into a run folder and return its path.

    The page holds the configuration, accuracy before and after training, the curves of the run and
    its held-out problems with shaded tokens. Files that are missing, cut off or damaged are said on
    the page. It is written whole or not at all, and replaces an earlier report.

    Raises:
        UserError: `run_folder` is no run folder, or cannot be written to.
    """
    run = read_run(Path(run_folder))
    target = RunFolder(Path(run_folder)).report
    try:
        write_text(target, page("report.html", **content(run)))
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror}; change the folder's permissions"
        ) from error
    return target


def content(run: SavedRun) -> dict[str, Any]:
    """All values that the template of the report shows."""
    chosen, defaults = settings(run.config)
    return {
        "run": run,
        "subject": _subject(run),
        "facts": _facts(run),
        "accuracy": _accuracy(run),
        "chart": _interval_chart(run),
        "curves": _curves(run.metrics),
        "quantities": _quantities(run.metrics),
        **_problems(run.samples),
        "settings": {"Set for this run": chosen, "Left at their defaults": defaults},
    }


def _subject(run: SavedRun) -> dict[str, str]:
    """What was trained, on what, by which method."""
    model = run.config.get("model", run.config.get("model_name_or_path"))
    found = {"method": run.config.get("method"), "task": run.config.get("task"), "model": model}
    return {name: shown(value) if value is not None else "unknown" for name, value in found.items()}


def _facts(run: SavedRun) -> list[tuple[str, str]]:
    """Short facts for the head of the page."""
    steps, planned = len(run.metrics.steps), run.config.get("max_steps")
    of = f" of {planned}" if isinstance(planned, int) and planned > 0 else ""
    _, seconds = run.metrics.recorded("seconds")
    versions = run.config.get("versions")
    libraries = versions.items() if isinstance(versions, dict) else ()
    facts = [
        ("Begun", _known(run.config.get("started"))),
        ("Dated", None if "started" in run.config else run.dated),
        ("Steps", f"{run.metrics.steps[-1]:.0f}{of}" if steps else None),
        ("Training time", duration(float(seconds.sum())) if len(seconds) else None),
        ("Seed", _known(run.config.get("seed"))),
        ("Revision", _brief(run.config.get("git_revision"))),
        ("Libraries", ", ".join(f"{name} {shown(version)}" for name, version in libraries)),
    ]
    return [(name, value) for name, value in facts if value]


def _known(value: Any) -> str | None:
    return None if value is None else shown(value)


def _brief(revision: Any) -> str | None:
    """A git revision with its hash cut to ten digits, `-dirty` kept."""
    commit, dash, rest = str(revision or "").partition("-")
    return f"{commit[:10]}{dash}{rest}" or None


def _accuracy(run: SavedRun) -> list[dict[str, Any]]:
    """Rows of the accuracy table: protocol, before, after, and the difference in points."""
    before, after = run.evaluation["before"], run.evaluation["after"]
    names = sorted({*before, *after}, key=lambda name: (_rank(name), name))
    return [{"name": name, **_change(before.get(name), after.get(name))} for name in names]


def _rank(name: str) -> int:
    return PROTOCOLS.index(name) if name in PROTOCOLS else len(PROTOCOLS)


def _change(before: Interval | None, after: Interval | None) -> dict[str, Any]:
    if before is None or after is None:
        return {"before": before, "after": after, "change": points(None), "overlap": False}
    change = points(after.value - before.value)
    return {"before": before, "after": after, "change": change, "overlap": before.overlaps(after)}


def _interval_chart(run: SavedRun) -> IntervalChart | None:
    rows = {
        row["name"]: {
            when: (row[when].value, row[when].low, row[when].high)
            for when in ("before", "after")
            if row[when]
        }
        for row in _accuracy(run)
    }
    return interval_chart("Accuracy before and after training", rows) if rows else None


def _curves(metrics: Metrics) -> dict[str, list[Any]]:
    """Heading -> charts of the quantities that were recorded at least once.

    A reward that is the accuracy at every step is drawn once.
    """
    drawn = dict(metrics.columns)
    accuracy, reward = drawn.get("accuracy"), drawn.get("reward")
    if accuracy is not None and reward is not None and np.array_equal(accuracy, reward, equal_nan=True):
        del drawn["reward"]
    return {heading: [_curve(metrics, q) for q in chosen] for heading, chosen in groups(drawn).items()}


def _curve(metrics: Metrics, shown: Quantity) -> Any:
    steps, values = metrics.recorded(shown.name)
    return curve_chart(shown.name, shown.title, steps, values, reference=shown.reference, share=shown.share)


def _quantities(metrics: Metrics) -> list[dict[str, Any]]:
    """Rows of the table of everything logged."""
    rows = []
    for name in sorted(metrics.columns)[:MOST_ROWS]:
        _, values = metrics.recorded(name)
        ends = (values[0], values[-1], values.min(), values.max())
        rows.append(
            {
                "name": name,
                "title": quantity(name).title,
                "ends": [float(v) for v in ends],
                "count": len(values),
            }
        )
    return rows


def _problems(samples: tuple[Sample, ...]) -> dict[str, Any]:
    """The held-out problems as strips of shaded tokens, and how their verdicts changed."""
    answers = [answer for sample in samples for answer in (sample.before, sample.after) if answer]
    scales = shades(answers)
    problems = [
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
    outcomes = Counter(problem["outcome"] for problem in problems if problem["outcome"])
    return {"scales": scales, "problems": problems, "outcomes": outcomes.most_common()}


def _outcome(sample: Sample) -> str | None:
    """The two verdicts in words, if both are known: `wrong → correct`."""
    verdicts = [
        answer.correct for answer in (sample.before, sample.after) if answer and answer.correct is not None
    ]
    return (
        " → ".join("correct" if verdict else "wrong" for verdict in verdicts) if len(verdicts) == 2 else None
    )
