"""What went wrong in a run, from the files it leaves: skipped steps, warnings of its log, a stall."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...plain_files import Refused, parse_json
from ..charts.number_format import counted, duration, number
from .confined_files import names_inside, open_inside
from .metrics import Metrics
from .samples import items, mapping

MOST_INCIDENTS = 40
LOG_BYTES = 256_000
"""Only the end of a log is read."""
OWN_LINE = re.compile(
    r"(?P<when>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\S* (?:WARNING|ERROR|CRITICAL) sightline\S*: (?P<said>.*)"
)
LONGEST = 400


@dataclass(frozen=True)
class Incident:
    """One thing to look at."""

    what: str
    when: str
    """A step, or a time, in words."""


def incidents(folder: Path, metrics: Metrics) -> list[Incident]:
    """The newest first: skipped steps with their batches, our own warnings, what metrics count."""
    found = [*_counted(metrics), *_skipped(folder), *_logged(folder)]
    return found[:MOST_INCIDENTS]


def _skipped(folder: Path) -> Iterator[Incident]:
    """`incidents/step-N/incident-R.json`, the last steps first."""
    steps = [name for name in names_inside(folder, "incidents") if re.fullmatch(r"step-\d{1,12}", name)]
    for step in sorted(steps, key=lambda name: -int(name[5:]))[:MOST_INCIDENTS]:
        for name in names_inside(folder / "incidents", step):
            if re.fullmatch(r"incident-\d{1,6}\.json", name):
                yield _incident(folder, f"incidents/{step}/{name}", step[5:])
                break


def _incident(folder: Path, name: str, step: str) -> Incident:
    file = open_inside(folder, name)
    text = ""
    if file is not None:
        with file:
            text = file.read(LOG_BYTES).decode("utf-8", "replace")
    try:
        saved = mapping(parse_json(text))
    except Refused:
        saved = {}
    kinds = " and ".join(str(kind) for kind in items(saved.get("not_finite"))) or "loss or gradient"
    scores = "".join(f"; {said}" for said in items(saved.get("scores"))[:3])
    return Incident(
        f"Skipped: {kinds} not finite{scores}. Its batch: {name.rpartition('/')[0]}"[:LONGEST], f"step {step}"
    )


def _logged(folder: Path) -> list[Incident]:
    """Warnings and errors of our own in the end of `log.txt`, each text once, the newest first."""
    file = open_inside(folder, "log.txt")
    if file is None:
        return []
    with file:
        size = file.seek(0, 2)
        file.seek(max(0, size - LOG_BYTES))
        lines = file.read(LOG_BYTES).decode("utf-8", "replace").splitlines()
    found = [match for line in reversed(lines) if (match := OWN_LINE.fullmatch(line))]
    newest = {match["said"]: match for match in reversed(found)}
    kept = sorted(newest.values(), key=lambda match: match["when"], reverse=True)
    return [Incident(match["said"][:LONGEST], match["when"]) for match in kept]


def _counted(metrics: Metrics) -> Iterator[Incident]:
    """Metrics whose name says that they count incidents, where they are above 0."""
    for name in sorted(metrics.columns):
        if name.startswith("incidents/"):
            steps, values = metrics.recorded(name)
            bad = np.flatnonzero(values > 0)
            if len(bad):
                total = counted(len(bad), "logged step")
                what = name.removeprefix("incidents/").replace("_", " ")
                yield Incident(
                    f"{what}: {values[bad[-1]]:g} (above 0 in {total})", f"step {steps[bad[-1]]:g}"
                )


def stall(metrics: Metrics, seconds_since: float) -> str | None:
    """A sentence if no step came for far longer than steps take; None if all is well or nothing is known.

    Far longer is ten times the median of the last steps, and at least two minutes.
    """
    _, seconds = metrics.recorded("seconds")
    if len(seconds) == 0:
        return None
    usual = float(np.median(seconds[-50:]))
    if number(usual) is None or seconds_since < max(120.0, 10 * usual):
        return None
    return f"No step for {duration(seconds_since)}; one usually takes {duration(usual)}."
