"""Files of one folder, read from inside it alone: no links, no devices, nothing above it, nothing endless."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Signature:
    """Equal as long as a file was not written to."""

    inode: int
    size: int
    written: int


def open_inside(folder: Path, name: str) -> BinaryIO | None:
    """A regular file of `folder`, open for reading, or None.

    `name` may hold folders, with `/` between. None of its parts may be a link or `..`, so that nothing
    outside `folder` can be reached through it.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        return None
    holder = -1
    try:
        holder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=holder)
            os.close(holder)
            holder = inner
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=holder)
    except OSError:
        return None
    finally:
        if holder >= 0:
            os.close(holder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        return None
    return os.fdopen(file, "rb")


def signature(file: BinaryIO) -> Signature:
    """The signature of an open file."""
    found = os.fstat(file.fileno())
    return Signature(found.st_ino, found.st_size, found.st_mtime_ns)


def names_inside(folder: Path, name: str) -> list[str]:
    """The names in a folder inside `folder`, sorted; none if it is a link or no folder."""
    path = folder / name
    try:
        return sorted(os.listdir(path)) if path.is_dir() and not path.is_symlink() else []
    except OSError:
        return []
