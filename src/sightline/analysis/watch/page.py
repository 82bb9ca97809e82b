"""The page that follows a run; the same components as the report."""

from __future__ import annotations

from datetime import UTC, datetime

from ..charts.number_format import duration
from ..pages.base import page
from ..pages.run_sections import accuracy_rows, curve_charts, interval_rows, problems, reward_rows, subject
from .followed_run import RunSnapshot

SERVED = ("report.html", "metrics.jsonl", "eval.json", "samples.json", "config.yaml", "log.txt")
"""The files of a run that can be had from the server, and no others."""


def watch_page(moment: RunSnapshot, served: list[str], seconds: int) -> str:
    """The whole page at one moment; its script asks for it again every `seconds`."""
    return page(
        "watch.html",
        style="watch.css",
        script="watch.js",
        served=True,
        moment=moment,
        run=moment.run,
        subject=subject(moment.run),
        state=state(moment),
        facts=_facts(moment),
        accuracy=accuracy_rows(moment.run),
        chart=interval_rows(moment.run),
        rewards=reward_rows(moment.run),
        curves=curve_charts(moment.run.metrics),
        **problems(moment.run.samples),
        served_files=served,
        seconds=seconds,
    )


def state(moment: RunSnapshot) -> str:
    """What the run is doing, in a word or two."""
    if moment.finished:
        return "finished"
    if moment.step is None:
        return "waiting for the first step"
    if moment.planned is not None and moment.step >= moment.planned:
        return "measuring after training"
    return "no new steps" if moment.stalled else "training"


def _facts(moment: RunSnapshot) -> list[tuple[str, str]]:
    last = None
    if moment.written is not None:
        last = f"{datetime.fromtimestamp(moment.written, UTC):%Y-%m-%d %H:%M:%S} UTC"
    speed, left = moment.seconds_per_step, moment.seconds_left
    of = f" of {moment.planned:,}" if moment.planned is not None else ""
    facts = [
        ("Step", f"{moment.step:,}{of}" if moment.step is not None else None),
        ("Per step", duration(speed) if speed is not None else None),
        ("Still to go", f"about {duration(left)}" if left else None),
        ("Last step logged", last),
    ]
    return [(name, value) for name, value in facts if value]
