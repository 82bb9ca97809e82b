"""How many cores are ours to use: fewer than the machine has, in a container or beside other ranks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def share_of_cores(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> int:
    """The whole cores of this process, at least 1: what it may run on, shared with the machine's other ranks.

    ⌊min(affinity, cgroup quota) / LOCAL_WORLD_SIZE⌋. Launchers (torchrun, accelerate) set
    `LOCAL_WORLD_SIZE`; without it the process is alone.
    """
    quotas = list(_quotas(groups, membership))
    return max(1, int(min([float(_allowed()), *quotas]) / _ranks_here()))


def _allowed() -> int:
    """The cores that the scheduler may give us; all of them where systems do not say."""
    affinity = getattr(os, "sched_getaffinity", None)
    return (len(affinity(0)) if affinity else os.cpu_count()) or 1


def _ranks_here() -> int:
    given = os.environ.get("LOCAL_WORLD_SIZE", "")
    return max(1, int(given)) if given.isdecimal() else 1


def _quotas(groups: Path, membership: Path) -> Iterator[float]:
    """The limit in cores of our control group and of each that it lies in; none on other systems.

    A limit stands in `cpu.max` ("quota period") or, in the older layout, in two files below `cpu/`.
    """
    for line in _read(membership).splitlines():
        controllers, _, place = line.partition(":")[2].partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups if not controllers else groups / controllers
        inside = Path(place.lstrip("/"))
        for folder in [inside, *inside.parents]:
            limit = _limit(root / folder)
            if limit is not None:
                yield limit


def _limit(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if not (quota.isdecimal() and period.isdecimal()) or int(period) == 0:
        return None  # "max", or -1: no limit
    return int(quota) / int(period)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""
