"""What every rank did last, in a small file of its own: so that the others can say which of them is lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch.distributed as dist

from ..plain_files import Refused, read_plain
from ..structure import COUNT, NUMBER, TEXT, fault
from .progress import Moment, Watcher

FOLDER = ".ranks"
"""The hidden folder of a run that holds them."""
_WORDS = (
    *("gloo", "nccl", "connection closed", "connection reset", "connection refused", "broken pipe"),
    *("timed out waiting", "timeout caused pair closure", "socket timeout", "read timeout"),
)
"""What gloo says in a plain RuntimeError."""
_BEAT = {"rank": COUNT, "pid": COUNT, "host": TEXT, "doing": TEXT, "time": NUMBER}


class Heartbeat(Watcher):
    """Writes down what this rank is doing."""

    def __init__(self, folder: Path, rank: int, count: int):
        self.folder, self.rank, self.count = folder / FOLDER, rank, count

    def beat(self, doing: str) -> None:
        """Note what begins now; nothing for a single process."""
        if self.count == 1:
            return
        who = {"rank": self.rank, "pid": os.getpid(), "host": socket.gethostname()}
        part = self.folder / f".rank-{self.rank}"
        with contextlib.suppress(OSError):  # a full disk: what is lost is only for a message
            self.folder.mkdir(exist_ok=True)
            part.write_text(json.dumps({**who, "doing": doing, "time": time.time()}), encoding="utf-8")
            part.replace(self.folder / f"rank-{self.rank}.json")

    def begin(self, now: Moment) -> None:
        self.beat("beginning to train")

    def step_begins(self, now: Moment) -> None:
        self.beat(f"in step {now.step + 1}")

    def step_ends(self, now: Moment) -> None:
        self.beat(f"after step {now.step}")

    def end(self, now: Moment) -> None:
        self.beat("after the last step")

    def clear(self) -> None:
        """Remove the files of a run that ended well."""
        if self.rank == 0:
            shutil.rmtree(self.folder, ignore_errors=True)


def is_lost_connection(error: BaseException) -> bool:
    """Whether an error is that of a collective whose other side does not answer."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


@dataclass(frozen=True)
class Lost:
    """The ranks that do not answer, in words, and who is to say so."""

    what: str
    speaker: int
    """The first rank that is left."""


def lost_ranks(folder: Path, own: int, count: int, seconds: float = 3.0) -> Lost:
    """As `_look`; looked for again for some seconds, since a process closes its connections before it is
    seen to be dead."""
    end = time.monotonic() + seconds
    while (found := _look(folder, own, count)) is None and time.monotonic() < end:
        time.sleep(0.1)
    return found or Lost("another rank does not answer, though all still run", own)


def _look(folder: Path, own: int, count: int) -> Lost | None:
    """Which ranks are dead or suspended, and what each did last; on other machines the one silent longest."""
    here = socket.gethostname()
    lost, silent, left = [], [], [own]
    for rank in (rank for rank in range(count) if rank != own):
        beat = _read(folder / FOLDER / f"rank-{rank}.json")
        if beat is None:
            lost.append(f"rank {rank}, which never said anything")
            continue
        last = f"{beat['doing']}, {max(0.0, time.time() - beat['time']):.0f} s ago"
        state = _state(beat["pid"]) if beat["host"] == here else None
        if state is not None:
            lost.append(f"rank {rank} (process {beat['pid']} on {beat['host']}) {state}; it was last {last}")
        elif beat["host"] == here:
            left.append(rank)
        else:
            silent.append((beat["time"], f"rank {rank} on {beat['host']}, last {last}"))
    if not lost and silent:
        lost = [f"no answer, silent longest is {min(silent)[1]}"]
    return Lost(" and ".join(lost), min(left)) if lost else None


def _state(pid: int) -> str | None:
    """What is wrong with a process of this machine; None if nothing is to be seen."""
    try:
        status = psutil.Process(pid).status()
    except psutil.Error:
        return "has died"
    if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
        return "has died"
    return "is suspended" if status == psutil.STATUS_STOPPED else None


def _read(path: Path) -> dict | None:
    try:
        found = read_plain(path)
    except (OSError, Refused):
        return None
    return found if fault(found, _BEAT) is None else None
