"""Where a study's files lie, and whether a folder holds the study that is asked for."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ... import __version__
from ...errors import UserError
from ...plain_files import MOST_BYTES, Refused, parse_json, read_plain
from ...provenance import provenance
from ...run_folder import RunFolder, sync, write_text
from ...structure import ANY, COUNT, NUMBER, TEXT, Each, Either, Many, Maybe, Optional, fault
from .plan import Plan, from_plain

MOST_UNPACKED = 256_000_000
"""Bytes of a training's metrics."""
FORMAT = 1
"""Of the files in a study's folder; another number means they do not mean the same."""

_FIXED = ("train", "evaluate", "target")
"""What has to be the same for all runs of a study; arms and seeds may be added later."""


_PLAN = {
    "arms": Each(Each(ANY)),
    "train": Each(ANY),
    "seeds": COUNT,
    "first_seed": Optional(COUNT),
    "baseline": TEXT,
    "question": TEXT,
    "target": Maybe(NUMBER),
    "primary": Maybe(Each(TEXT)),
    "contrasts": Optional(Each(Many(TEXT))),
    "evaluate": {**dict.fromkeys(("every", "problems", "samples", "scored", "seed"), COUNT), "split": TEXT},
    "gradient": Each(Either(COUNT, TEXT)),
}
_MEASURED = {
    **dict.fromkeys(("step", "cpu_seconds"), NUMBER),
    **dict.fromkeys(("sampled", "greedy"), Maybe(NUMBER)),
}
"""What a line of `evaluations.jsonl` has at least."""
_RIGHTS = dict.fromkeys(("greedy_right", "sampled_right"), Optional(TEXT))
"""Its columns that are no numbers: a mark for every problem (`held_out.rights`)."""


@dataclass(frozen=True)
class StudyFolder:
    """A study's folder and the names of what it holds."""

    path: Path

    @property
    def config(self) -> Path:
        """The plan, and what version of Sightline it began with."""
        return self.path / "config.yaml"

    @property
    def results(self) -> Path:
        """Everything the tables, curves and pages are made of."""
        return self.path / "results.json"

    @property
    def page(self) -> Path:
        """The study as one page."""
        return self.path / "study.html"

    def run(self, arm: str, seed: int) -> StudyRun:
        """The folder of one run."""
        return StudyRun(self.path / "runs" / arm / f"seed-{seed}")

    def plan(self) -> Plan:
        """The plan that the folder was made with.

        Raises:
            UserError: it is no study, one of another version, or damaged.
        """
        stored = self._stored()
        if wrong := fault(stored, {"plan": _PLAN}):
            raise UserError(f"{self.config} is damaged: {wrong}; expected what `sightline study` wrote")
        try:
            return from_plain(stored["plan"])
        except TypeError as error:  # a field that the plan does not have
            raise UserError(f"{self.config} is damaged: {error}") from error

    def begin(self, plan: Plan) -> Plan:
        """Write the plan down, or hold it against the one that is there; the plan that holds.

        Arms and seeds may be added to a study, and left-out ones stay in it.

        Raises:
            UserError: the folder is of another version, or its runs were made with other settings.
        """
        if self.config.is_file():
            plan = _joined(self.plan(), plan, self.path)
        content = {
            "kind": "study", "format": FORMAT, "sightline": __version__, "plan": plan.plain(), **provenance(),
        }  # fmt: skip
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        return plan

    def _stored(self) -> Mapping[str, Any]:
        try:
            stored = read_plain(self.config)
        except (OSError, Refused) as error:
            why = error.strerror if isinstance(error, OSError) else f"it {error}"
            raise UserError(f"{self.path} is no study's folder: {self.config.name}: {why}") from error
        if not isinstance(stored, dict) or stored.get("kind") != "study":
            raise UserError(f"{self.path} holds something else than a study; choose another --output_dir")
        came = (stored.get("format"), stored.get("sightline"))
        if came != (FORMAT, __version__):
            raise UserError(
                f"{self.path} was made by Sightline {came[1]} (format {came[0]}), this is {__version__} "
                f"(format {FORMAT}); its runs do not compare with new ones. Go on with that version, or "
                "choose another --output_dir"
            )
        return stored


def _joined(stored: Plan, now: Plan, where: Path) -> Plan:
    """The stored plan with the arms and seeds that are new."""
    before, after = stored.plain(), now.plain()
    for name in _FIXED:
        if before[name] != after[name]:
            raise UserError(f"{where} was begun with other settings: {_differing(name, before, after)}. "
                            "Give the same, or choose another --output_dir")  # fmt: skip
    for name, settings in after["arms"].items():
        if name in before["arms"] and before["arms"][name] != settings:
            raise UserError(f"{where} knows arm {name} as {before['arms'][name]}, now it is {settings}; "
                            "give the new one another name")  # fmt: skip
    arms = {**before["arms"], **after["arms"]}
    primary = after["primary"] or before["primary"]  # a part of the methods alone names none
    end = max(stored.run_seeds.stop, now.run_seeds.stop)
    seeds = end - now.first_seed  # runs of seeds before the first stay in the folder, out of the tables
    return from_plain({**after, "arms": arms, "seeds": seeds, "primary": primary})


def _differing(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    ours, theirs = before[name], after[name]
    if not (isinstance(ours, Mapping) and isinstance(theirs, Mapping)):
        return f"{name} was {ours}, now it is {theirs}"
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    return ", ".join(f"{key} was {ours.get(key)}, now it is {theirs.get(key)}" for key in keys)


@dataclass(frozen=True)
class StudyRun:
    """The folder of one run of a study."""

    path: Path

    @property
    def training(self) -> RunFolder:
        """The same as a folder of `sightline train`."""
        return RunFolder(self.path)

    @property
    def settings(self) -> Path:
        """What `sightline train --config` reads to repeat the run."""
        return self.path / "settings.yaml"

    @property
    def evaluations(self) -> Path:
        """One JSON object per measurement on the held-out problems."""
        return self.path / "evaluations.jsonl"

    @property
    def metrics(self) -> Path:
        """The training's metrics.jsonl, compressed once it is finished."""
        return self.path / "metrics.jsonl.gz"

    @property
    def summary(self) -> Path:
        """Written last: a run that has one is finished."""
        return self.path / "run.json"

    @property
    def failure(self) -> Path:
        """Why the run ended before its time."""
        return self.path / "failed.json"

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.summary.is_file()

    @property
    def revision(self) -> str | None:
        """The state of the code that made a finished run."""
        return self._read(self.summary).get("git_revision")

    @property
    def failed(self) -> str | None:
        """Why it failed; None if it did not."""
        if self.finished or not self.failure.is_file():
            return None
        return str(self._read(self.failure).get("error"))

    def read_evaluations(self) -> list[dict[str, Any]]:
        """The measurements in order of steps."""
        try:
            with self.evaluations.open("rb") as file:
                lines = file.read(MOST_BYTES).decode("utf-8", "replace").splitlines()
            rows = [parse_json(line) for line in lines]
        except (OSError, Refused) as error:
            raise self._damaged(self.evaluations, str(error)) from error
        wrong = fault(rows, Many({**_MEASURED, **_RIGHTS})) or fault(
            [{name: value for name, value in row.items() if name not in _RIGHTS} for row in rows],
            Many(Each(Maybe(NUMBER))),
        )
        steps = [] if wrong else [row["step"] for row in rows]
        if not wrong and (not steps or steps != sorted(set(steps))):
            wrong = "its steps do not go up" if steps else "it holds no measurement"
        if wrong:
            raise self._damaged(self.evaluations, wrong)
        return rows

    def read_metrics(self) -> list[str]:
        """The lines of the training's metrics."""
        try:
            with gzip.open(self.metrics) as file:
                content = file.read(MOST_UNPACKED + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(self.metrics, str(error) or type(error).__name__) from error
        if len(content) > MOST_UNPACKED:
            raise self._damaged(self.metrics, f"it unpacks to more than {MOST_UNPACKED:,} bytes")
        return content.decode("utf-8", "replace").splitlines()

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            found = read_plain(path)
        except (OSError, Refused) as error:
            raise self._damaged(path, str(error)) from error
        if not isinstance(found, dict):
            raise self._damaged(path, "it holds no fields")
        return found

    def _damaged(self, path: Path, why: str) -> UserError:
        return UserError(
            f"{path} is damaged ({why}); remove the folder {self.path} and give sightline study --resume, "
            "which makes this run again"
        )


def compress(source: Path, target: Path) -> None:
    """`source` as gzip, the same bytes for the same content; `source` is removed."""
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(gzip.compress(source.read_bytes(), mtime=0))
    sync(part)
    part.replace(target)
    sync(target.parent)
    source.unlink()
