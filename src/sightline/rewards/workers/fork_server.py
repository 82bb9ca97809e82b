"""The parent's side of the worker processes: starting them, asking them, ending them.

The fork server is a fresh interpreter, not a fork of the user's process and not a second run of the user's
script; it forks the workers (see `worker`). No signal reaches the user's process, and all of it works
from any thread. If this process dies, the fork server notices and ends its workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

from ..verdict import Question
from .progress import WAIT, Progress
from .worker import BOOT, COMMAND, END, FORK, LENGTH, READY, REPLY, frame

_START_SECONDS = 120.0
"""What the fork server may compute until it is ready: it imports two engines, which takes some 3 s."""
_STALLED = 60
"""Looks in a row, a second apart, at which a process has computed nothing: then it is taken to hang."""
_END_SECONDS = 1.0


class WorkersDoNotStart(RuntimeError):  # noqa: N818
    """No worker process comes up, so nothing can be graded; this is never scored."""


class WorkerGone(RuntimeError):  # noqa: N818 (not always an error)
    """The worker ended before it had answered."""

    def __init__(self, status: int = 0):
        super().__init__(f"status {status}")
        self.lethal = os.WIFSIGNALED(status) and os.WTERMSIG(status) in _FAULTS
        """Whether it was the answer that ended it, and nothing from outside."""


_FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL})


class WorkerTimeout(RuntimeError):  # noqa: N818 (not always an error)
    """The question took more computing than it may."""


class Stalled(RuntimeError):  # noqa: N818 (not always an error)
    """The process neither answers nor computes: it was stopped, or hangs."""


class ForkServer:
    """The process from which workers are forked, and what it is asked."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 (our own interpreter and code)
                [sys.executable, "-P", "-c", BOOT, str(Path(__file__).resolve().parents[2])],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONHASHSEED": "0"},
                process_group=0,  # an interrupt from the keyboard is the parent's business
            )
        self._ready = False
        self._talking = threading.Lock()
        self._end = weakref.finalize(self, _end, self.process, self._control, os.getpid())

    def worker(self) -> Worker:
        """A new worker. Raises `WorkersDoNotStart` if there can be none, `WorkerGone` if it died."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                return Worker(self._asked(FORK, 0, theirs), ours, self)
            except BaseException:
                ours.close()
                raise

    @property
    def alive(self) -> bool:
        """Whether the process runs, or is on its way up."""
        return self.process.poll() is None

    def ended(self, pid: int) -> int:
        """Ends a worker; the status it ended with, 0 if that cannot be told any more."""
        try:
            return self._asked(END, pid)
        except (WorkerGone, WorkersDoNotStart):
            return 0  # the fork server is gone, and its workers with it

    def close(self) -> None:
        """Ends the fork server and all its workers, whatever they are doing."""
        self._end()

    def forget(self) -> None:
        """In a forked child: lets go of the parent's processes without touching them."""
        self._end.detach()
        self.process.returncode = 0
        self._control.close()

    def _asked(self, command: int, pid: int, end: socket.socket | None = None) -> int:
        with self._talking:
            try:
                if not self._ready:
                    self._await()
                socket.send_fds(self._control, [COMMAND.pack(command, pid)], [end.fileno()] if end else [])
                reply = _received(self._control, REPLY.size, Progress(self.process.pid, _STALLED))
                return REPLY.unpack(reply)[0]
            except OSError as error:
                raise WorkerGone from error
            except Stalled as error:  # what it says after this would be the answer to another question
                os.killpg(self.process.pid, signal.SIGKILL)
                raise WorkerGone from error

    def _await(self) -> None:
        try:
            starting = Progress(self.process.pid, _STALLED, most=_START_SECONDS)
            self._ready = _received(self._control, REPLY.size, starting) == READY
        except (OSError, Stalled, WorkerGone) as error:
            self.process.kill()
            raise WorkersDoNotStart(
                f"no grading process starts (exit code {self.process.wait()}, or killed since it computed "
                f"nothing for {_STALLED} s, or for over {_START_SECONDS:g} s); to see why: "
                f"{sys.executable} -m sightline.rewards.workers.worker </dev/null"
            ) from error


class Worker:
    """One process, and one question at a time."""

    def __init__(self, pid: int, connection: socket.socket, fork_server: ForkServer) -> None:
        self.pid = pid
        self.asked = 0
        self._connection = connection
        self._fork_server = fork_server

    def ask(self, question: Question, seconds: float) -> dict[str, Any]:
        """The worker's answer, for at most `seconds` of computing, however long that takes by the clock.

        Without one it raises `WorkerTimeout`, `Stalled` or `WorkerGone`, and the worker is ended.
        """
        self.asked += 1
        progress = Progress(self.pid, _STALLED)
        try:
            self._connection.sendall(frame({**vars(question), "computing": seconds}))
            size = LENGTH.unpack(_received(self._connection, LENGTH.size, progress))[0]
            return json.loads(_received(self._connection, size, progress))
        except (OSError, WorkerGone) as error:
            status = self.end()
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
                raise WorkerTimeout from error
            raise WorkerGone(status) from error
        except BaseException:
            self.end()
            raise

    @property
    def alive(self) -> bool:
        """Whether an idle worker still waits for a question."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return not poll.poll(0)

    def end(self) -> int:
        """Ends the process, whatever it is doing; the status it ended with."""
        self.forget()
        return self._fork_server.ended(self.pid)

    def forget(self) -> None:
        """In a forked child: lets go of the parent's worker without touching it."""
        self._connection.close()


def _received(connection: socket.socket, count: int, progress: Progress) -> bytes:
    """`count` bytes. Raises `Stalled` if their sender does not get on, `WorkerGone` if it closed its end."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    received = b""
    while len(received) < count:
        if not poll.poll(WAIT * 1000):
            if progress.stalled():
                raise Stalled
            continue
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise WorkerGone
        received += chunk
    return received


def _end(process: subprocess.Popen[bytes], control: socket.socket, owner: int) -> None:
    """Lets the server end its workers and itself; those that do not end are killed with the process group."""
    if os.getpid() != owner:
        return
    with contextlib.suppress(OSError):  # the fork server may have gone before
        control.shutdown(socket.SHUT_RDWR)
    control.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
