"""Where a run's files lie, and how they are written so that a reader never sees half of one."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from .errors import UserError
from .plain_files import read_plain

LOCK = ".lock"
"""Locked by the process that writes into a run folder; says who that is, and that the folder is ours."""

_HELD_BY = "process "
_UMASK = os.umask(0o077)
os.umask(_UMASK)  # there is no other way to ask for it


class FolderLock:
    """A run folder held for this process: no other run can write there until it is closed.

    It is a record lock of the system: children do not inherit it, and it ends with the process however
    that ends. The file itself stays: by it a folder is known as a run's.

    Raises:
        UserError: another process holds it; says which.
    """

    def __init__(self, folder: Path):
        self._descriptor = -1
        self._descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip() or "unknown"
            self.close()
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise UserError(
                f"{folder} is in use by another run ({holder}); wait for it, stop it, "
                "or choose another --output_dir"
            ) from None
        who = f"{_HELD_BY}{os.getpid()} on {socket.gethostname()} since {datetime.now():%Y-%m-%d %H:%M:%S}"
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, who.encode(), 0)

    def close(self) -> None:
        """Let the folder go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    __del__ = close


@dataclass(frozen=True)
class RunFolder:
    """A run's folder and the names of what it holds."""

    path: Path
    lock: FolderLock | None = field(default=None, compare=False, repr=False)
    """What keeps other runs out while this process writes here."""

    def release(self) -> None:
        """Let other runs use the folder."""
        if self.lock is not None:
            self.lock.close()

    @property
    def config(self) -> Path:
        """Every resolved setting, what set it, versions and git revision."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """One JSON object per logged optimizer step."""
        return self.path / "metrics.jsonl"

    @property
    def evaluation(self) -> Path:
        """Accuracy `before` and `after`, with intervals."""
        return self.path / "eval.json"

    @property
    def results(self) -> Path:
        """What `sightline eval` measured."""
        return self.path / "results.json"

    @property
    def samples(self) -> Path:
        """Held-out problems with images, answers and token scores, for the report."""
        return self.path / "samples.json"

    @property
    def model(self) -> Path:
        """The trained model and its processor."""
        return self.path / "model"

    @property
    def finished(self) -> Path:
        """Written last by `sightline train`: the steps of a run that is over, and how long it should be."""
        return self.path / "finished.json"

    @property
    def log(self) -> Path:
        """What libraries had to say, kept off the screen."""
        return self.path / "log.txt"

    @property
    def incidents(self) -> Path:
        """The batches whose optimizer step was skipped."""
        return self.path / "incidents"

    @property
    def report(self) -> Path:
        """The run as one self-contained page."""
        return self.path / "report.html"


def fresh_name(kind: str) -> str:
    """A folder name under `runs/` that does not exist yet, such as `runs/eval-20260101-120000`."""
    stem = f"runs/{kind}-{datetime.now():%Y%m%d-%H%M%S}"
    name, again = stem, 1
    while Path(name).exists():
        again += 1
        name = f"{stem}-{again}"
    return name


def open_run(path: str | Path, *, overwrite: bool = False, resume: bool = False) -> RunFolder:
    """Make or reuse the folder of a run, and keep every other run out of it.

    An existing folder with content is refused unless `resume` (kept as it is) or `overwrite` (emptied),
    and then too unless our lock file or a config.yaml with our version shows that it is a run's. The lock
    goes with the process that holds it, so a killed run leaves none behind.

    Raises:
        UserError: the folder has content, is in use by another run, is not writable, or is not a run
            and so is not ours to empty.
    """
    folder = Path(path)
    try:
        check_free(folder, overwrite, resume)
        folder.mkdir(parents=True, exist_ok=True)
        run = RunFolder(folder, FolderLock(folder))
        if not resume:
            _check_content(run, overwrite, resume)  # once more: another run may have come and gone
            _empty(run)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write to {path}: {error.strerror}; choose another --output_dir or change its permissions"
        ) from error
    return run


def check_free(path: str | Path, overwrite: bool = False, resume: bool = False) -> None:
    """Raise what `open_run` would for a new run, before time is spent on anything else.

    Raises:
        UserError: it is a file, or has content that may not be replaced.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{path} is a file; expected a folder, choose another --output_dir")
    _check_content(RunFolder(folder), overwrite, resume)


def _content(folder: RunFolder) -> list[str]:
    entries = folder.path.iterdir() if folder.path.is_dir() else ()
    return sorted(entry.name for entry in entries if entry.name != LOCK)


def _check_content(folder: RunFolder, overwrite: bool, resume: bool) -> None:
    """Refuse a folder that holds anything, or with `overwrite` or `resume` one that holds no run."""
    content = _content(folder)
    if not content:
        return
    listing = ", ".join(content[:8]) + (", ..." if len(content) > 8 else "")
    if not (overwrite or resume):
        raise UserError(
            f"{folder.path} already holds a run ({listing}); nothing was changed. Give --overwrite to "
            "replace it, --resume to continue a training, or another --output_dir"
        )
    if not _is_ours(folder):
        flag = "--resume" if resume else "--overwrite"
        raise UserError(
            f"{folder.path} holds {listing} but neither the {LOCK} nor the config.yaml of a run, so it is "
            f"not ours and {flag} leaves it alone; choose another --output_dir"
        )


def _is_ours(folder: RunFolder) -> bool:
    """Whether a run held the folder once, or, in a copy without hidden files, its config.yaml names us."""
    lock = folder.path / LOCK
    if lock.is_file() and lock.read_bytes().startswith(_HELD_BY.encode()):
        return True
    try:
        return "sightline" in read_plain(folder.config)["versions"]
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _empty(folder: RunFolder) -> None:
    for name in _content(folder):
        entry = folder.path / name
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def sync(path: Path) -> None:
    """Have the system put a file or folder on the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def usual_rights(path: Path) -> None:
    """Give a file the rights of any new one of this user; some libraries let only its owner read."""
    path.chmod(0o666 & ~_UMASK)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; it is on the disk when this returns."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        usual_rights(Path(temporary))
        os.replace(temporary, path)
        sync(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; NaN and infinities become null, which every reader understands."""
    write_text(path, json.dumps(finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """`value` with every NaN or infinity replaced by None, through mappings and sequences."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return value
