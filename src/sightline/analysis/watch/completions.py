"""The newest rollouts of a run that logs them (`--log_completions`), out of TRL's parquet files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..charts.number_format import number, numeral
from ..readers.confined_files import names_inside, open_inside
from ..readers.parquet_rows import LONGEST, read_rows
from ..readers.samples import items, mapping

MOST_ROWS = 8
MOST_BYTES = 64_000_000
KNOWN = ("step", "prompt", "completion")
LONGEST_EXTRA = 200
"""Characters of a text that a reward said beside its number."""


@dataclass(frozen=True)
class Completion:
    """One rollout: what was asked, what was said, what it earned."""

    prompt: str
    text: str
    numbers: tuple[tuple[str, str], ...]
    """Rewards, the advantage, and what rewards said beside, by name."""


def newest_completions(folder: Path) -> tuple[str, list[Completion]]:
    """The step and some rollouts of the last file of `completions/`; nothing if there is none.

    Rows are taken evenly from the whole batch. A file that is damaged, still being written, or more than a
    small process can read gives the step and nothing.
    """
    names = [
        name
        for name in names_inside(folder, "completions")
        if re.fullmatch(r"completions_\d+\.parquet", name)
    ]
    if not names:
        return "", []
    newest = max(names, key=lambda name: int(re.sub(r"\D", "", name)))
    file = open_inside(folder, f"completions/{newest}")
    if file is None:
        return "", []
    with file:
        content = file.read(MOST_BYTES + 1)
    rows = read_rows(content, MOST_ROWS) if len(content) <= MOST_BYTES else None
    return str(int(re.sub(r"\D", "", newest))), [_completion(row) for row in rows or []]


def _completion(row: dict[str, Any]) -> Completion:
    numbers = [
        (str(name), value[:LONGEST_EXTRA] if isinstance(value, str) else numeral(number(value), 3))
        for name, value in row.items()
        if name not in KNOWN and (number(value) is not None or (isinstance(value, str) and value))
    ]
    return Completion(_said(row.get("prompt")), _said(row.get("completion")), tuple(numbers[:12]))


def _said(value: Any) -> str:
    """Text, or the texts of chat messages."""
    if isinstance(value, list):
        parts = []
        for message in value:
            content = mapping(message).get("content")
            texts = (
                [mapping(part).get("text") for part in items(content)]
                if isinstance(content, list)
                else [content]
            )
            parts += [str(text) for text in texts if text is not None]
        value = "\n".join(parts)
    return "" if value is None else str(value)[:LONGEST]
