"""A file system of a few megabytes, really full when it is full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: int = 16_000_000) -> Iterator[Path]:
    """A tmpfs of `size` bytes at a new folder; skips the test where this process may not mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def fill(disk: Path, room: int) -> Path:
    """A file that leaves the disk `room` bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        found = os.fstatvfs(file.fileno())
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - room)
    return ballast
