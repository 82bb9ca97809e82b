"""Worker processes that may be killed: a hostile answer costs one of them its time, and delays no other.

Workers are fresh interpreters, started when first needed, with a pipe each way: no signal, no re-import
of the user's script, no fork of its threads. So they work from any thread, from Jupyter and from a script
without a main guard. A forked child starts its own.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .verdict import Question, Verdict
from .worker import BOOT, LENGTH, frame

SECONDS = 1.5
"""Time for one comparison, counted from the start of the work on it."""
_START_SECONDS = 120.0
_QUESTIONS_PER_WORKER = 5000
"""Then a fresh process takes over, so that the engine's caches do not grow."""
_MOST_WORKERS = 8


class WorkersDoNotStart(RuntimeError):  # noqa: N818
    """No worker process comes up, so nothing can be graded; this is never scored."""


class WorkerGone(RuntimeError):  # noqa: N818 (not always an error)
    """The worker's end of the pipe is closed."""


class Overdue(RuntimeError):  # noqa: N818 (not always an error)
    """The worker did not answer in time."""


class Worker:
    """One process, and one question at a time."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 (our own interpreter and code)
            [sys.executable, "-P", "-c", BOOT, str(Path(__file__).resolve().parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            process_group=0,  # an interrupt from the keyboard is the parent's business
        )
        self.asked = 0
        self._ready = False

    def ask(self, question: Question, seconds: float) -> dict[str, Any]:
        """The worker's answer; the clock starts once the process is up. Raises `Overdue` or `WorkerGone`."""
        if not self._ready:
            self._await()
        assert self.process.stdin is not None
        self.asked += 1
        try:
            self.process.stdin.write(frame(vars(question)))
            self.process.stdin.flush()
        except OSError as error:
            raise WorkerGone from error
        return self._receive(seconds)

    def _await(self) -> None:
        try:
            self._receive(_START_SECONDS)
        except (Overdue, WorkerGone) as error:
            self.process.kill()
            raise WorkersDoNotStart(
                f"a grading worker did not start (exit code {self.process.wait()}, or killed after "
                f"{_START_SECONDS:g} s); to see why: {sys.executable} -m sightline.rewards.worker </dev/null"
            ) from error
        self._ready = True

    def _receive(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        size = LENGTH.unpack(self._bytes(LENGTH.size, deadline))[0]
        return json.loads(self._bytes(size, deadline))

    def _bytes(self, count: int, deadline: float) -> bytes:
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        poll = select.poll()
        poll.register(pipe, select.POLLIN | select.POLLHUP)
        received = b""
        while len(received) < count:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise Overdue
            chunk = os.read(pipe, count - len(received))
            if not chunk:
                raise WorkerGone
            received += chunk
        return received

    def kill(self) -> None:
        """Ends the process, whatever it is doing, and frees its pipes."""
        self.process.kill()
        self.process.wait()
        self._close_pipes()

    def forget(self) -> None:
        """In a forked child: lets go of the parent's worker without touching it."""
        self.process.returncode = 0
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                continue  # bytes that were still to be sent to a process that is gone


class Pool:
    """A set of workers shared by all threads; a context manager, and closed when Python ends."""

    def __init__(self, workers: int | None = None, seconds: float = SECONDS) -> None:
        if seconds <= 0 or (workers is not None and workers < 1):
            raise ValueError(f"a pool needs at least one worker and some time, got {workers} and {seconds} s")
        self.size = workers or max(2, min(os.cpu_count() or 1, _MOST_WORKERS))
        self.seconds = seconds
        self.counts: Counter[str] = Counter()
        """How many questions were asked, timed out or crashed, and how many processes were started."""
        self._renew()
        _POOLS.add(self)

    def submit(self, question: Question) -> Future[Verdict]:
        """Asks a question; questions are taken up in the order asked."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self.size, thread_name_prefix="sightline-grading")
            return self._threads.submit(self._answer, question)

    def close(self) -> None:
        """Ends all workers and drops what is still queued; the pool starts anew if it is asked again."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            for worker in list(self._workers):
                worker.process.kill()  # its thread notices, and cleans up
            threads.shutdown(wait=True, cancel_futures=True)
        _end(self._workers, self._owner)
        self._idle.clear()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, question: Question) -> Verdict:
        """Runs in a thread of the pool. A worker killed from outside costs no answer its reward: whatever
        lost its worker is asked once more, and only an answer that is lethal loses the second as well."""
        self._count("asked")
        try:
            return self._asked(question)
        except (WorkerGone, WorkersDoNotStart):
            self._count("asked again")
        try:
            return self._asked(question)
        except WorkerGone:
            self._count("crash")
            return Verdict(False, question.answer, "crash", "the grading process died over this answer")

    def _asked(self, question: Question) -> Verdict:
        """Borrows a worker, asks, and returns or replaces it."""
        if self._threads is None:
            raise WorkerGone  # the pool was closed meanwhile
        worker = self._borrow()
        try:
            answer = Verdict(**worker.ask(question, self.seconds))
        except Overdue:
            self._replace(worker)
            self._count("timeout")
            reason = f"no decision within {self.seconds:g} s"
            return Verdict(False, question.answer, "timeout", reason)
        except WorkerGone:
            self._replace(worker)
            raise
        except BaseException:
            self._discard(worker)
            raise
        if worker.asked >= _QUESTIONS_PER_WORKER:
            self._replace(worker)
        else:
            self._idle.append(worker)
        return answer

    def _borrow(self) -> Worker:
        """An idle worker that is still alive, or a new one; and one more is set on its way."""
        worker = self._next_idle() or self._start()
        if not self._idle and len(self._workers) <= self.size:
            self._idle.appendleft(self._start())
        return worker

    def _next_idle(self) -> Worker | None:
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                return None
            if worker.process.poll() is None:
                return worker
            self._discard(worker)

    def _start(self) -> Worker:
        worker = Worker()
        self._workers.add(worker)
        self._count("started")
        return worker

    def _discard(self, worker: Worker) -> None:
        worker.kill()
        self._workers.discard(worker)

    def _replace(self, worker: Worker) -> None:
        """Kills a worker and starts the next one at once, so that it is up when it is needed."""
        self._discard(worker)
        if self._threads is not None:
            self._idle.appendleft(self._start())

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def _renew(self) -> None:
        """A pool without threads or workers, belonging to this process."""
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._workers: set[Worker] = set()
        self._idle: deque[Worker] = deque()  # the right end has been up longest
        weakref.finalize(self, _end, self._workers, self._owner)

    def after_fork(self) -> None:
        """In a forked child: lets go of the parent's workers and starts without any."""
        for worker in self._workers:
            worker.forget()
        self._renew()


_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()


def _end(workers: set[Worker], owner: int) -> None:
    if os.getpid() != owner:
        return
    while workers:
        workers.pop().kill()


def _after_fork() -> None:
    for pool in list(_POOLS):
        pool.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
