"""Whether a process still computes, by its CPU time: the clock says nothing on a busy machine."""

from __future__ import annotations

import math

import psutil

WAIT = 1.0
"""Seconds between two looks at a process that does not answer."""


class Progress:
    """Looks at a process while it is waited for, and tells one that is starved from one that hangs.

    On a machine with other work a process may get a hundredth of a core, and still gets on. One that
    computes nothing over `waits` looks in a row is stopped, or waits for what will not come. Looks are
    counted and not seconds, so that a machine that was frozen as a whole has stalled nobody. Nor does one
    get on that has computed more than `most` seconds in all.
    """

    def __init__(self, pid: int, waits: int, most: float = math.inf):
        self.pid, self.waits, self.most = pid, waits, most
        self._computed = -1.0
        self._idle = 0

    def stalled(self) -> bool:
        """Takes one look: whether the process has computed nothing over the last `waits` of them, or too
        much."""
        computed = computed_by(self.pid)
        self._idle = self._idle + 1 if computed <= self._computed else 0
        self._computed = computed
        return self._idle >= self.waits or computed > self.most


def computed_by(pid: int) -> float:
    """The seconds a process has computed, in its code and in the kernel for it; 0.0 if it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system
