"""The process that does the comparisons which may never end; `python -m sightline.rewards.worker` by hand.

It reads questions from standard input and writes verdicts to standard output, each a JSON object
behind its length in four bytes. It knows no deadline: its parent kills it. It never evaluates text,
starts a process or opens a connection; an audit hook sees to that whatever the parsers do.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import Any, BinaryIO

BOOT = """
import sys, types
package = types.ModuleType("sightline")
package.__path__ = [sys.argv[1]]
sys.modules["sightline"] = package
from sightline.rewards.worker import main
main()
"""
"""How the pool starts it: as `-m` does, but without the package's front page, which imports torch."""

LENGTH = struct.Struct(">I")
_FIRST = [
    (r"\frac{1}{2} + x", r"x + 0.5 \sin x"),
    (r"\sin 2x + \ln x", r"2 \sin x \cos x + \ln x"),
    (r"(-\infty, 2) \cup (3, \sqrt{5})", r"(-\infty, 2) \cup (4, \sqrt{7})"),
    (r"y = \sqrt{x}", r"2y = 3 \sqrt{x}"),
    (r"|x - \log_2 3|", r"|x|"),
]
_MEMORY = 2 << 30
_CPU_SECONDS = 30
"""A parent that was itself killed cannot kill a worker; the kernel does, after this much work."""


def main() -> None:
    """Answers questions until standard input ends."""
    questions = sys.stdin.buffer
    verdicts = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a library prints must not reach the parent
    _limit_memory()
    from .protocols import decide_by
    from .symbolic import symbolic

    for gold, answer in _FIRST:  # what is imported on first use is no part of an answer's time
        symbolic(gold, answer)
    sys.addaudithook(_refuse)
    _write(verdicts, {"ready": True})
    while (question := _read(questions)) is not None:
        _limit_work()
        _write(verdicts, _answer(question, decide_by, symbolic))


def _answer(question: dict[str, Any], decide_by: Any, symbolic: Any) -> dict[str, Any]:
    """A verdict as a dictionary; what the parsers raise makes the answer wrong, and says so."""
    try:
        return vars(decide_by(**question, symbolic=symbolic))
    except (Exception, RecursionError, MemoryError) as error:
        reason = f"cannot be compared: {type(error).__name__}"
        return {"correct": False, "answer": question["answer"], "how": "symbolic", "why_not": reason}


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    body = stream.read(LENGTH.unpack(head)[0])
    return json.loads(body) if body else None


def _write(stream: BinaryIO, message: dict[str, Any]) -> None:
    stream.write(frame(message))
    stream.flush()


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


def _limit_work() -> None:
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + _CPU_SECONDS
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))


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
