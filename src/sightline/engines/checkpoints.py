"""Checkpoint folders: visible only when complete, checked against their manifest before they are used."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..plain_files import Refused, read_plain
from ..run_folder import sync, usual_rights, write_json
from ..structure import COUNT, TEXT, Each
from ..structure import fault as structure_fault
from .side_files import keep_copies

MANIFEST = "manifest.json"
"""Size and SHA-256 of every file of a checkpoint, and where training stood; written last."""
STAGING = ".saving"
"""The hidden folder beside the checkpoints in which one is written; a killed run may leave it behind."""
_MANIFEST = {"step": COUNT, "files": Each({"size": COUNT, "sha256": TEXT})}
_NAME = re.compile(r"checkpoint-(\d+)")


class StoppedError(RuntimeError):
    """Training ended early: what happened, the last good checkpoint, and how to continue, in one line.

    Neither the user's mistake nor a bug: a full disk, a policy whose probabilities are not finite, ...
    """

    def __init__(self, what: str, folder: Path, advice: str = "put it right, then continue with --resume"):
        last, damaged = newest_whole(folder)
        good = f"the last good checkpoint is {last}" if last is not None else "there is no checkpoint yet"
        notes = "".join(f"; {line}" for line in damaged)
        super().__init__(f"training stopped: {what}; {good}{notes}; {advice}")
        self.what, self.advice = what, advice


def publish(staged: Path, target: Path, facts: Mapping[str, Any]) -> None:
    """Make the folder `staged` visible as `target`: every file on disk, then the manifest, then the name.

    If `target` is there and whole it stays, since training repeats exactly; a damaged one is replaced.
    """
    keep_copies(target.parent, staged)
    files = sorted(path for path in staged.rglob("*") if path.is_file())
    for path in files:
        usual_rights(path)
    with ThreadPoolExecutor(min(8, len(files) or 1)) as pool:
        hashes = list(pool.map(_synced_hash, files))
    entries = {
        str(path.relative_to(staged)): {"size": path.stat().st_size, "sha256": digest}
        for path, digest in zip(files, hashes, strict=True)
    }
    write_json(staged / MANIFEST, {**facts, "files": entries})
    sync(staged / MANIFEST)
    for folder in (path for path in staged.rglob("*") if path.is_dir()):
        sync(folder)
    sync(staged)
    if target.exists():
        if fault(target) is None:
            shutil.rmtree(staged)
            return
        remove(target)
    staged.rename(target)
    sync(target.parent)


def fault(checkpoint: Path) -> str | None:
    """Why a checkpoint cannot be used, in words; None if every file is as it was written."""
    try:
        manifest = read_plain(checkpoint / MANIFEST)
    except FileNotFoundError:
        return f"it has no {MANIFEST}"
    except OSError as error:
        return f"its {MANIFEST} cannot be read: {error.strerror}"
    except Refused as error:
        return f"its {MANIFEST} {error}"
    if wrong := structure_fault(manifest, _MANIFEST):
        return f"its {MANIFEST} is damaged: {wrong}"
    expected = {name: (entry["size"], entry["sha256"]) for name, entry in manifest["files"].items()}
    if not expected:
        return f"its {MANIFEST} lists no file"
    if outside := [name for name in expected if Path(name).is_absolute() or ".." in Path(name).parts]:
        return f"its {MANIFEST} names {outside[0]}, which lies outside it"
    for name, (size, _) in expected.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size:,} bytes, {size:,} were written"
    with ThreadPoolExecutor(8) as pool:
        hashes = pool.map(_hash, [checkpoint / name for name in expected])
        for (name, (_, digest)), found in zip(expected.items(), hashes, strict=True):
            if found != digest:
                return f"{name} is not what was written (its SHA-256 differs)"
    return None


def facts(checkpoint: Path) -> dict[str, Any]:
    """What the manifest of a whole checkpoint says beside the files."""
    manifest = read_plain(checkpoint / MANIFEST)
    return {name: value for name, value in manifest.items() if name != "files"}


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run folder, oldest step first, whole or not."""
    found = [(int(match[1]), path) for path, match in _named(folder)]
    return [path for _, path in sorted(found)]


def _named(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and path.is_dir():
            yield path, match


def newest_whole(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that is whole, and a line about each newer one that is damaged."""
    damaged = []
    for path in reversed(checkpoints(folder)):
        why = fault(path)
        if why is None:
            return path, damaged
        damaged.append(f"{path.name} is damaged: {why}")
    return None, damaged


def given_checkpoint(path: str, folder: Path) -> Path:
    """The whole checkpoint at `path`, a checkpoint or a run with some, from which the run in `folder` starts.

    Raises:
        UserError: there is none, it is damaged or not ours, or the run has checkpoints of its own.
    """
    place, name = Path(path), "--resume_from_checkpoint"
    if not place.is_dir():
        raise UserError(f"{name} {path} does not exist; expected a checkpoint-N folder of a run, or the run")
    found = place
    if not (place / MANIFEST).is_file() and checkpoints(place):
        found = newest_whole(place)[0] or checkpoints(place)[-1]
    if why := fault(found):
        raise UserError(
            f"{name} {path} cannot be used: {found.name} is no whole checkpoint of Sightline, {why}"
        )
    own = [one for one in checkpoints(folder) if one.resolve() != found.resolve()]
    if own:
        raise UserError(
            f"{folder} has checkpoints of its own, such as {own[-1].name}: leave {name} out and "
            "give --resume to go on from the newest, or choose another --output_dir to branch off"
        )
    return found


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a run folder by name alone, or None."""
    found = checkpoints(folder)
    return found[-1] if found else None


def rotate(folder: Path, limit: int | None, keep: Path | None = None) -> None:
    """Remove the oldest checkpoints until `limit` are left, `keep` among them; None or 0 keeps all."""
    found = checkpoints(folder)
    rest = [path for path in found if path != keep]
    newest = 0 if found and found[-1] == keep else 1  # it stays, to go on from
    most = max(limit - (len(found) - len(rest)), newest) if limit else len(rest)
    for path in rest[: max(len(rest) - most, 0)]:
        remove(path)


def remove(checkpoint: Path) -> None:
    """Delete a checkpoint so that half of it is never seen: it loses its name first."""
    hidden = checkpoint.with_name(f".removed-{checkpoint.name}")
    shutil.rmtree(hidden, ignore_errors=True)
    checkpoint.rename(hidden)
    shutil.rmtree(hidden)


def clean(folder: Path) -> None:
    """Delete what a killed run left behind: a checkpoint half saved or half removed."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and (path.name == STAGING or path.name.startswith(".removed-checkpoint-")):
            shutil.rmtree(path)


def size(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _synced_hash(path: Path) -> str:
    sync(path)
    return _hash(path)
