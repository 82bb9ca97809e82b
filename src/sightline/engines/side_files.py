"""Files of a run beside its checkpoints: every checkpoint keeps a copy, from which they are rebuilt."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..plain_files import Refused, parse_json, read_plain
from ..run_folder import RunFolder, write_text

COPIES = "run"
"""The folder of a checkpoint that holds them."""


def keep_copies(folder: Path, staged: Path) -> None:
    """Put the run's settings and metrics, as they stand, into a checkpoint that is being written."""
    run = RunFolder(folder)
    for file in (run.config, run.metrics):
        if file.is_file():
            (staged / COPIES).mkdir(exist_ok=True)
            shutil.copyfile(file, staged / COPIES / file.name)


def stored_settings(
    folder: RunFolder, checkpoint: Path | None, say: Callable[[str], None]
) -> Mapping[str, Any] | None:
    """The settings that a run began with, from `config.yaml` or, if that is damaged, from the checkpoint.

    None if neither can be read; what is damaged is said.
    """
    found, why = _mapping(folder.config)
    copy, missing = (None, "") if checkpoint is None else _mapping(checkpoint / COPIES / folder.config.name)
    if found is not None and copy is not None and (cut := copy.keys() - found.keys()):
        found, why = None, f"it lacks {len(cut)} settings, such as {min(cut)}"
    if found is not None:
        return found
    if checkpoint is None:
        say(f"{folder.config} is damaged ({why}) and no checkpoint holds a copy; it is written anew")
        return None
    if copy is None:
        say(
            f"{folder.config} is damaged ({why}) and {checkpoint.name} holds no copy ({missing}): whether "
            "the settings are those that the run began with cannot be checked"
        )
        return None
    say(f"{folder.config} is damaged ({why}); the settings are taken from {checkpoint.name}")
    return copy


def mend_metrics(path: Path, checkpoint: Path) -> str | None:
    """Put lines of `metrics.jsonl` that are lost or unreadable back from the checkpoint's copy.

    Returns a line about what was put back, and what is lost for good; None if all lines are there.
    """
    copied, _ = _lines(checkpoint / COPIES / path.name)
    there, broken = _lines(path)
    lost = [step for step, line in copied.items() if there.get(step) != line]
    if not lost and not broken:
        return None
    whole = {**there, **copied}
    write_text(path, "".join(f"{whole[step]}\n" for step in sorted(whole)))
    parts = [f"{broken} unreadable"] if broken else []
    parts += [f"{len(lost)} put back from {checkpoint.name}"] if lost else []
    return f"{path.name}: lines {', '.join(parts)}"


def _mapping(path: Path) -> tuple[Mapping[str, Any] | None, str]:
    try:
        found = read_plain(path)
    except OSError as error:
        return None, str(error.strerror)
    except Refused as error:
        return None, f"it {error}"
    return (found, "") if isinstance(found, dict) and found else (None, "it holds no settings")


def _lines(path: Path) -> tuple[dict[float, str], int]:
    """Step -> line, and how many lines are none; of several lines of one step the last."""
    found: dict[float, str] = {}
    broken = 0
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in filter(str.strip, text.split("\n")):
        try:
            row = parse_json(line)
            found[float(row["step"])] = line
        except (Refused, KeyError, TypeError, ValueError, OverflowError):
            broken += 1
    return found, broken
