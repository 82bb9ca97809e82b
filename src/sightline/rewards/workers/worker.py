"""The worker processes for symbolic comparisons, which may never end by themselves.

By hand: `python -m sightline.rewards.workers.worker`.

One process imports the engines and warms them up, then forks a worker whenever its parent asks: a worker
lost to a hostile answer is replaced in milliseconds. It has no threads, so forking it is safe. A worker
reads questions from its socket and writes verdicts, each a JSON object behind its length in four bytes.
It never evaluates text, starts a process or opens a connection; an audit hook sees to that whatever the
parsers do. Its parent ends it when the time is over, the kernel when its computing time is.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import struct
import sys
from io import BufferedRWPair
from typing import Any, NoReturn

BOOT = """
import sys, types
package = types.ModuleType("sightline")
package.__path__ = [sys.argv[1]]
sys.modules["sightline"] = package
from sightline.rewards.workers.worker import main
main()
"""
"""How it is started: as `-m` does, but without the package's front page, which imports torch."""

COMMAND = struct.Struct(">BI")
"""What the parent asks: `FORK`, with a socket for the worker, or `END`, with the worker's process."""
FORK, END = 1, 2
REPLY = struct.Struct(">i")
"""The worker's process, or the status with which it ended."""
READY = REPLY.pack(0)
LENGTH = struct.Struct(">I")
_FIRST = [
    (r"\frac{1}{2} + x", r"x + 0.5 \sin x"),
    (r"\sin 2x + \ln x", r"2 \sin x \cos x + \ln x"),
    (r"(-\infty, 2) \cup (3, \sqrt{5})", r"(-\infty, 2) \cup (4, \sqrt{7})"),
    (r"y = \sqrt{x}", r"2y = 3 \sqrt{x}"),
    (r"|x - \log_2 3|", r"|x|"),
]
_MEMORY = 1 << 30


def main() -> None:
    """Forks workers and ends them until the parent is gone, then ends them all."""
    _limit_memory()
    from ..answers.symbolic import symbolic
    from ..protocols import decide_by
    from ..published.engines import ENGINES

    for gold, answer in _FIRST:  # what is imported on first use is no part of an answer's time
        symbolic(gold, answer)
        ENGINES["lookback"](gold, answer)
    gc.freeze()  # a collection in a worker then leaves the shared pages shared
    try:
        control = socket.socket(fileno=0)
    except OSError:
        sys.exit("A grading process starts well here. It is of use only to the pool that starts it.")
    workers: set[int] = set()
    control.sendall(READY)
    while True:
        message, files, _, _ = socket.recv_fds(control, COMMAND.size, 1)
        if len(message) < COMMAND.size:
            break
        command, worker = COMMAND.unpack(message)
        if command == FORK:
            worker = os.fork()
            if not worker:
                control.close()
                _serve(
                    socket.socket(fileno=files[0]),
                    lambda protocol, **asked: decide_by(
                        protocol, **asked, symbolic=ENGINES.get(protocol, symbolic)
                    ),
                )
            os.close(files[0])
            workers.add(worker)
            control.sendall(REPLY.pack(worker))
        else:
            control.sendall(REPLY.pack(_ended(worker, workers)))
    for worker in list(workers):
        _ended(worker, workers)


def _ended(worker: int, workers: set[int]) -> int:
    """Ends one of our own workers, and says how it ended; it may have ended before."""
    if worker not in workers:
        return 0
    workers.discard(worker)
    os.kill(worker, signal.SIGKILL)
    return os.waitpid(worker, 0)[1]


def _serve(connection: socket.socket, decide: Any) -> NoReturn:
    """A worker's life: it answers questions until the parent lets go of it."""
    sys.addaudithook(_refuse)
    stream = connection.makefile("rwb")
    while (question := _read(stream)) is not None:
        signal.setitimer(signal.ITIMER_PROF, question.pop("computing"))  # then SIGPROF ends the process
        verdict = _answer(question, decide)
        signal.setitimer(signal.ITIMER_PROF, 0)
        stream.write(frame(verdict))
        stream.flush()
    os._exit(0)


def _answer(question: dict[str, Any], decide: Any) -> dict[str, Any]:
    """A verdict as a dictionary; what the parsers raise makes the answer wrong, and says so."""
    try:
        return vars(decide(**question))
    except (Exception, RecursionError, MemoryError) as error:
        reason = f"cannot be compared: {type(error).__name__}"
        return {"correct": False, "answer": question["answer"], "how": "symbolic", "why_not": reason}


def _read(stream: BufferedRWPair) -> dict[str, Any] | None:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    body = stream.read(LENGTH.unpack(head)[0])
    return json.loads(body) if body else None


def frame(message: dict[str, Any]) -> bytes:
    """A message as it travels: its length, then JSON."""
    body = json.dumps(message).encode()
    return LENGTH.pack(len(body)) + body


def _limit_memory() -> None:
    """An answer that would fill the memory fails in its worker; not on systems without such limits."""
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


_REFUSED = frozenset(
    ["os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect"]
)


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    """Ends any attempt of SymPy to evaluate text, and of anything to start a program or to connect."""
    caller = sys._getframe(1).f_globals.get("__name__", "") if event == "compile" else ""
    if event in _REFUSED or caller.startswith("sympy.parsing"):
        raise PermissionError(f"a grading worker may not: {event}")


if __name__ == "__main__":
    main()
