"""Lines of a results folder: generations appended as they come, read back after any interruption."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from io import FileIO
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...plain_files import Refused, parse_json
from ...run_folder import write_text
from ...structure import COUNT, FLAG, TEXT, Many, Maybe, fault

Key = tuple[str, str, str, int]
"""Benchmark, view, problem and number of a sample."""
SIGHTED = "sighted"
"""The view that hides nothing."""


@dataclass(frozen=True)
class Generation:
    """One sample as a model gave it; nothing here depends on how it is graded."""

    benchmark: str
    view: str
    """`sighted`, or the name of the view that hid the image."""
    problem: str
    sample: int
    seed: int
    prompt: str
    """Hash of messages and images as they were shown."""
    text: str | None
    """None if it failed."""
    truncated: bool
    tokens: int | None
    token_ids: list[int] | None
    failed: str | None
    images: list[str]
    """Names of the images that were kept for looking at, in `images/`."""

    @property
    def key(self) -> Key:
        """What identifies the sample."""
        return self.benchmark, self.view, self.problem, self.sample


_LOOKED_BACK = 1 << 16
MOST_BYTES = 2_000_000_000
"""Of a file of records."""
_GENERATION = {
    **dict.fromkeys(("benchmark", "view", "problem", "prompt"), TEXT),
    **dict.fromkeys(("sample", "seed"), COUNT),
    **dict.fromkeys(("text", "failed"), Maybe(TEXT)),
    "truncated": FLAG,
    "tokens": Maybe(COUNT),
    "token_ids": Maybe(Many(COUNT)),
    "images": Many(TEXT),
}


def append_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append one JSON object per line, all of them or none; they are on the disk when this returns.

    Half a line, which a killed run may have left, gives way to them.
    """
    if not rows:
        return
    content = memoryview("".join(json.dumps(row) + "\n" for row in rows).encode("ascii"))
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b", buffering=0) as file:
        end = _end_of_lines(file)
        file.truncate(end)
        file.seek(end)
        try:
            while content:
                content = content[file.write(content) :]  # a disk that is nearly full takes a part
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise


def _end_of_lines(file: FileIO) -> int:
    """Where the last whole line of a file ends."""
    place = file.seek(0, os.SEEK_END)
    while place > 0:
        start = max(0, place - _LOOKED_BACK)
        file.seek(start)
        found = (file.read(place - start) or b"").rfind(b"\n")
        if found >= 0:
            return start + found + 1
        place = start
    return 0


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Every whole line of a JSONL file, in order; a last line that was cut off is left out.

    Raises:
        UserError: another line is no JSON object; says which.
    """
    if not path.is_file():
        return []
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} has more than {MOST_BYTES:,} bytes, as none that `sightline eval` writes")
    lines = path.read_bytes().split(b"\n")
    lines.pop()  # empty, or what a killed run had half written
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = parse_json(line.decode("utf-8", "replace"))
        except Refused as error:
            raise UserError(f"{path}, line {number} {error}; the file is damaged") from error
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number} is no JSON object but {type(row).__name__}")
        rows.append(row)
    return rows


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """The whole file, or none of it."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def read_generations(path: Path) -> list[Generation]:
    """The generations of a run, in order.

    Raises:
        UserError: a line lacks a field, or a sample is there twice.
    """
    names = [field.name for field in fields(Generation)]
    found: dict[Key, Generation] = {}
    for number, row in enumerate(read_lines(path), 1):
        if missing := [name for name in names if name not in row]:
            raise UserError(
                f"{path}, line {number} lacks {', '.join(missing)}; expected what `sightline eval` writes"
            )
        if wrong := fault(row, _GENERATION):
            raise UserError(f"{path}, line {number}: {wrong}; the file is damaged")
        generation = Generation(**{name: row[name] for name in names})
        if generation.key in found:
            raise UserError(f"{path}, line {number}: {' '.join(map(str, generation.key))} is there twice")
        found[generation.key] = generation
    return list(found.values())


def recover(path: Path) -> list[Generation]:
    """The samples that need not be asked again; failed ones and half a line are taken out of the file."""
    kept = [generation for generation in read_generations(path) if generation.failed is None]
    if path.is_file():
        rest = [vars(generation) for generation in kept]
        if path.read_bytes().count(b"\n") != len(rest) or not path.read_bytes().endswith(b"\n"):
            write_lines(path, rest)
    return kept
