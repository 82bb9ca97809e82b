"""A pool of worker processes that may be killed: a hostile answer costs its own time, and delays no other.

What an answer may compute decides, never the clock: a verdict does not depend on how busy the machine is.
What could not be computed, for reasons outside the answer, is undecided and never wrong.

The pool is shared by all threads, works from Jupyter and from a script without a main guard, and a forked
child starts its own. Workers are lost to hostile answers all the time; a new one is there in milliseconds.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor

from ..verdict import UNDECIDED, Question, Verdict
from .cores import share_of_cores
from .fork_server import ForkServer, Stalled, Worker, WorkerGone, WorkersDoNotStart, WorkerTimeout

SECONDS = 1.0
"""What one comparison may compute, in seconds of processor time. Honest ones take 0.01 to 0.15."""
_QUESTIONS_PER_WORKER = 5000
"""Then a fresh process takes over, so that the engine's caches do not grow."""
_MOST_WORKERS = 8


class Pool:
    """A set of workers shared by all threads; a context manager, and closed when Python ends."""

    def __init__(self, workers: int | None = None, seconds: float = SECONDS) -> None:
        if seconds <= 0 or (workers is not None and workers < 1):
            raise ValueError(f"a pool needs at least one worker and some time, got {workers} and {seconds} s")
        self.workers = workers
        self.seconds = seconds
        self.counts: Counter[str] = Counter()
        """How many questions were asked, asked again, timed out, crashed or stalled, and how many processes
        were started."""
        self._renew()
        _POOLS.add(self)

    @property
    def size(self) -> int:
        """How many workers it has at most: what was asked for, or one per core of ours, up to 8."""
        return self.workers or min(share_of_cores(), _MOST_WORKERS)

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
            fork_server, self._fork_server = self._fork_server, None
        if fork_server is not None:
            fork_server.close()  # a thread whose worker is gone notices
        if threads is not None:
            threads.shutdown(wait=True, cancel_futures=True)
        _let_go(self._workers)
        self._idle.clear()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def again(self, question: Question) -> Verdict:
        """Asks what was undecided or lost its workers once more, in the calling thread, one question at a
        time. Only an answer that is itself what ends its worker is a crash now, and wrong."""
        with self._alone:
            self._count("asked again")
            try:
                return self._asked(question)
            except WorkerGone as gone:
                return self._crashed(question) if gone.lethal else _undecided(question, "was killed")

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
            return self._crashed(question)

    def _crashed(self, question: Question) -> Verdict:
        self._count("crash")
        return Verdict(False, question.answer, "crash", "the grading process died over this answer")

    def _asked(self, question: Question) -> Verdict:
        """Borrows a worker, asks it, and puts it back if it is still of use."""
        if self._threads is None:
            raise WorkerGone  # the pool was closed meanwhile
        worker = self._borrow()
        try:
            answer = Verdict(**worker.ask(question, self.seconds))
        except WorkerTimeout:
            self._workers.discard(worker)
            self._count("timeout")
            why = f"no decision within {self.seconds:g} s of computing"
            return Verdict(False, question.answer, "timeout", why)
        except Stalled:
            self._workers.discard(worker)
            self._count("stalled")
            return _undecided(question, "stopped computing")
        except BaseException:
            self._workers.discard(worker)
            raise
        if worker.asked >= _QUESTIONS_PER_WORKER:
            self._discard(worker)
        else:
            self._idle.append(worker)
        return answer

    def _borrow(self) -> Worker:
        """An idle worker that is still alive, or a new one."""
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                break
            if worker.alive:
                return worker
            self._discard(worker)
        worker = self._running_fork_server().worker()
        self._workers.add(worker)
        self._count("started")
        return worker

    def _running_fork_server(self) -> ForkServer:
        with self._lock:
            if self._threads is None:
                raise WorkerGone
            if self._fork_server is None or not self._fork_server.alive:
                self._fork_server = ForkServer()
            return self._fork_server

    def _discard(self, worker: Worker) -> None:
        worker.end()
        self._workers.discard(worker)

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def _renew(self) -> None:
        """A pool without threads or processes, belonging to this process."""
        self._lock, self._alone = threading.Lock(), threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._fork_server: ForkServer | None = None
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        weakref.finalize(self, _let_go, self._workers)

    def after_fork(self) -> None:
        """In a forked child: lets go of the parent's processes and starts without any."""
        for worker in self._workers:
            worker.forget()
        if self._fork_server is not None:
            self._fork_server.forget()
        self._renew()


def _undecided(question: Question, what: str) -> Verdict:
    return Verdict(None, question.answer, UNDECIDED, f"the grading process {what}; the answer is not judged")


_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()


def _let_go(workers: set[Worker]) -> None:
    while workers:
        workers.pop().forget()


def _after_fork() -> None:
    for pool in list(_POOLS):
        pool.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
