"""The report of one run: `report.html`, a single file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import UserError
from ...run_folder import RunFolder, write_text
from ..charts.metric_titles import metric_column
from ..charts.number_format import duration
from ..readers.metrics import Metrics
from ..readers.run import SavedRun, read_run
from ..readers.settings import settings, shown
from .base import page
from .run_sections import accuracy_rows, curve_charts, interval_rows, problems, reward_rows, subject

MOST_ROWS = 300


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
        "subject": subject(run),
        "facts": _facts(run),
        "accuracy": accuracy_rows(run),
        "chart": interval_rows(run),
        "rewards": reward_rows(run),
        "curves": curve_charts(run.metrics),
        "quantities": _quantities(run.metrics),
        **problems(run.samples),
        "settings": {"Set for this run": chosen, "Left at their defaults": defaults},
    }


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
        ("Model of step", _best_step(run)),
        ("Training time", duration(float(seconds.sum())) if len(seconds) else None),
        ("Seed", _known(run.config.get("seed"))),
        ("Revision", _brief(run.config.get("git_revision"))),
        ("Libraries", ", ".join(f"{name} {shown(version)}" for name, version in libraries)),
    ]
    return [(name, value) for name, value in facts if value]


def _best_step(run: SavedRun) -> str | None:
    """The step whose weights are the model, where the best of the held-out measurements was kept."""
    if not run.config.get("load_best_model_at_end") or not run.has_model:
        return None
    name = str(run.config.get("metric_for_best_model")).removeprefix("eval_")
    steps, values = run.metrics.recorded(f"eval_{name}")
    if not len(values):
        return None
    better = values if run.config.get("greater_is_better", True) else -values
    return f"{steps[better.argmax()]:.0f}, the best held-out {name}"


def _known(value: Any) -> str | None:
    return None if value is None else shown(value)


def _brief(revision: Any) -> str | None:
    """A git revision with its hash cut to ten digits, `-dirty` kept."""
    commit, dash, rest = str(revision or "").partition("-")
    return f"{commit[:10]}{dash}{rest}" or None


def _quantities(metrics: Metrics) -> list[dict[str, Any]]:
    """Rows of the table of everything logged."""
    rows = []
    for name in sorted(metrics.columns)[:MOST_ROWS]:
        _, values = metrics.recorded(name)
        ends = (values[0], values[-1], values.min(), values.max())
        rows.append(
            {
                "name": name,
                "title": metric_column(name).title,
                "ends": [float(v) for v in ends],
                "count": len(values),
            }
        )
    return rows
