"""What `--resume` finds in the folder of a run that is over: nothing is trained or written twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..plain_files import Refused, parse_json, read_plain
from ..run_folder import RunFolder, write_json
from .checkpoints import checkpoints, newest_whole
from .resume_settings import LENGTH, check_resumed


def trained_model(folder: RunFolder, spare: str | Path | None = None) -> Path | None:
    """The folder of the trained model, in the run or in its spare folder; None if training is not over."""
    return next((place for place in _places(folder, spare) if (place / "config.json").is_file()), None)


def models_written(folder: RunFolder, spare: str | Path | None = None) -> set[tuple[Path, int, int]]:
    """A mark of each model that is there, another one once it is written again: a run that is made longer
    has the model of its shorter self until its last step."""
    files = [place / "config.json" for place in _places(folder, spare)]
    return {(file, file.stat().st_ino, file.stat().st_mtime_ns) for file in files if file.is_file()}


def _places(folder: RunFolder, spare: str | Path | None) -> list[Path]:
    return [folder.model] if spare is None else [folder.model, Path(spare) / folder.model.name]


def only_model_left(folder: RunFolder, spare: str | Path | None = None) -> Path | None:
    """The trained model of a run without checkpoints: it cannot be trained on, and must not be again."""
    return None if checkpoints(folder.path) else trained_model(folder, spare)


def last_step(folder: RunFolder) -> int:
    """The last optimizer step of metrics.jsonl; 0 without any."""
    if not folder.metrics.is_file():
        return 0
    for line in reversed(folder.metrics.read_text(encoding="utf-8", errors="replace").splitlines()):
        try:
            return int(parse_json(line)["step"])
        except (Refused, KeyError, TypeError, ValueError, OverflowError):
            continue
    return 0


def note_finished(folder: RunFolder, settings: Mapping[str, Any], steps: int) -> None:
    """Write last of all that the run is over, and how long it was asked to be."""
    write_json(folder.finished, {"steps": steps, **{name: settings.get(name) for name in LENGTH}})


def finished(folder: RunFolder, now: Mapping[str, Any], spare: str | Path | None = None) -> str | None:
    """The line that says that a resumed run has nothing left to do; None if it has. Only reads.

    `now` holds the settings given. A run from before `finished.json` counts as finished when its model and
    its report are there and no checkpoint is.

    Raises:
        UserError: it is over and was started with other settings, or should be longer and kept no checkpoint
            to go on from.
    """
    mark, before = _mapping(folder.finished), _mapping(folder.config)
    model, alone = trained_model(folder, spare), not checkpoints(folder.path)
    if not (mark and (model or alone)) and not (model and alone and folder.report.is_file()):
        return None
    check_resumed(before, now, force=True)
    wanted = mark or before
    if any(name in wanted and wanted[name] != now.get(name) for name in LENGTH):
        if newest_whole(folder.path)[0] is None:
            raise UserError(
                f"{folder.path} is finished and kept no checkpoint, so it cannot be made longer; nothing was "
                f"changed. Train its model on in another folder: --model {model or 'MODEL'} --output_dir ..."
            )
        return None
    place = model or folder.report
    return f"{folder.path} is finished after step {last_step(folder):,}; nothing is left to do: {place}"


def refuse_to_train_again(folder: Path) -> None:
    """What an engine asks before a resumed run without checkpoints begins at the beginning.

    Raises:
        UserError: a trained model is there, which would be replaced.
    """
    if model := only_model_left(RunFolder(folder)):
        raise UserError(
            f"{model} is trained and no checkpoint is left to go on from; nothing was changed. Choose "
            "another --output_dir, or --overwrite to replace the run"
        )


def _mapping(path: Path) -> dict[str, Any]:
    try:
        found = read_plain(path)
    except (OSError, Refused):
        return {}
    return found if isinstance(found, dict) else {}
