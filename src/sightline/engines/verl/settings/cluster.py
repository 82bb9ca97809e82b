"""Whether the Ray cluster that a run is to join is there, asked before anything is loaded."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from ....errors import UserError

_NOTE = Path("/tmp/ray/ray_current_cluster")  # noqa: S108 (Ray's own choice)
"""Where `ray start` notes its cluster's address on a node."""
_SECONDS = 5.0
NO_CLUSTER = (
    "no Ray cluster answers at ray_address{where}; start one with `ray start --head` here and `ray start "
    "--address HOST:6379` on the other nodes, or leave ray_address out to use this machine alone"
)


def check_cluster(address: str | None, note: Path = _NOTE) -> None:
    """Refuse an address at which nothing listens; one that only Ray can read (ray://...) is left to it.

    Raises:
        UserError: with how to start a cluster.
    """
    if address is None or "://" in address:
        return
    found = address if address != "auto" else os.environ.get("RAY_ADDRESS") or _noted(note)
    if found is None:
        if "RAY_TMPDIR" not in os.environ:
            raise UserError(NO_CLUSTER.format(where=" auto: none was started on this node"))
        return
    host, _, port = found.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"ray_address must be auto or HOST:PORT, got {address!r}")
    try:
        with socket.create_connection((host, int(port)), timeout=_SECONDS):
            return
    except OSError as error:
        raise UserError(NO_CLUSTER.format(where=f" {found} ({error})")) from error


def _noted(note: Path) -> str | None:
    return note.read_text(encoding="utf-8").strip() or None if note.is_file() else None
