"""Where the files of an evaluation lie: generations apart from scores, scores apart from results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ...errors import UserError
from ...plain_files import Refused, read_plain
from ...rewards import PROTOCOLS
from ...run_folder import RunFolder, write_text
from ...structure import ANY, COUNT, NUMBER, TEXT, Each, Many, Maybe, Optional, fault
from ..benchmarks.item import Item
from .jsonl_records import read_lines

KIND = "evaluation"
"""What `config.yaml` says of a run that `sightline eval` made."""


_SETTINGS = {
    "model": Optional(TEXT),
    "decoding": Optional({"samples": COUNT, "temperature": NUMBER}),
    "sets": Optional(Each(Each(ANY))),
    "seed": Optional(COUNT),
    "expected_samples": Optional(COUNT),
    "protocol": Optional(TEXT),
}
_PROBLEM = {
    **dict.fromkeys(("benchmark", "id", "question", "answer", "cluster"), TEXT),
    "choices": Many(TEXT),
    "labels": Optional(Each(Maybe(TEXT))),
    "keys": Optional(Each(Maybe(TEXT))),
    "tolerance": Optional(NUMBER),
    "accepted": Optional(Many(TEXT)),
    "rule": Optional(TEXT),
    "fingerprints": Optional(Many(TEXT)),
}


@dataclass(frozen=True)
class ResultsFolder(RunFolder):
    """A run folder that `sightline eval` writes; `config`, `results`, `log` and `report` are as in any."""

    @property
    def problems(self) -> Path:
        """One JSON object per problem: question, gold, choices, cluster, labels."""
        return self.path / "problems.jsonl"

    @property
    def generations(self) -> Path:
        """One JSON object per sample; appended while the run goes on."""
        return self.path / "generations.jsonl"

    @property
    def token_scores(self) -> Path:
        """One JSON object per answer whose tokens were scored."""
        return self.path / "token_scores.jsonl"

    @property
    def images(self) -> Path:
        """Small copies of the images that were shown, for looking at samples."""
        return self.path / "images"

    @property
    def table(self) -> Path:
        """Every number of `results.json` as a row."""
        return self.path / "results.csv"

    @property
    def markdown(self) -> Path:
        """A table for a paper or a README."""
        return self.path / "results.md"

    def scores(self, protocol: str) -> Path:
        """One JSON object per sample: the verdict of a protocol."""
        return self.path / f"scores-{protocol}.jsonl"

    @property
    def scored(self) -> list[str]:
        """The protocols with scores, in the order of `PROTOCOLS`."""
        return [name for name in PROTOCOLS if self.scores(name).is_file()]

    def settings(self) -> dict[str, Any]:
        """What `config.yaml` says.

        Raises:
            UserError: the folder is none of ours.
        """
        try:
            found = read_plain(self.config)
        except (OSError, Refused) as error:
            raise UserError(
                f"{self.path} is no results folder: {self.config.name} cannot be read; expected one that "
                "`sightline eval` wrote"
            ) from error
        if not isinstance(found, dict) or found.get("kind") != KIND:
            raise UserError(f"{self.path} is no results folder; expected one that `sightline eval` wrote")
        if wrong := fault(found, _SETTINGS):
            raise UserError(f"{self.config} is damaged: {wrong}; expected what `sightline eval` wrote")
        return found

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Keep the settings of a run."""
        write_text(self.config, yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True))

    def items(self) -> dict[str, dict[str, Item]]:
        """Benchmark -> problem id -> problem, in the order they were asked."""
        if not self.problems.is_file():
            raise UserError(f"{self.path} has no {self.problems.name}; its run was killed before it began")
        found: dict[str, dict[str, Item]] = {}
        for row in read_lines(self.problems):
            try:
                if wrong := fault(row, _PROBLEM):
                    raise TypeError(wrong)
                name = row.pop("benchmark")
                lists = {key: tuple(row.get(key) or ()) for key in ("choices", "accepted", "fingerprints")}
                item = Item(**{**row, **lists})
            except (KeyError, TypeError) as error:
                raise UserError(f"{self.problems} holds a line that is no problem: {error}") from error
            found.setdefault(name, {})[item.id] = item
        return found
