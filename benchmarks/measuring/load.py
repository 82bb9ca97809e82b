"""Honest answers graded while the machine is kept busy: how many verdicts change?

The load is processes that only count, each with an end of its own; beside them several processes grade, each
with a pool of its own and at low priority, as the ranks of a training beside other work.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sightline.rewards import Verdict, grade_many

_AT_ONCE = 250
_COUNT = """
import sys, time
end = time.time() + float(sys.argv[1])
while time.time() < end:
    sum(range(10**5))
"""
_GRADE = """
import os, sys
from measuring.load import main
os.nice(int(sys.argv[4]))
main(*map(int, sys.argv[1:4]))
"""

Item = tuple[str, str]


@dataclass(frozen=True)
class Load:
    """How much is asked, beside what, and for how long at most."""

    verdicts: int = 20_000
    busy: int = 16
    """Processes that count."""
    graders: int = 4
    nice: int = 5
    """How far the graders stand back."""
    seconds: int = 1500
    """Then the graders stop where they are."""


def honest(number: int) -> Item:
    """Right answers, no two alike; every tenth needs a worker."""
    n = number + 2
    return [
        (rf"\boxed{{2 \sin x \cos x + {n}}}", rf"\sin 2x + {n}"),
        (rf"\boxed{{{n}}}", str(n)),
        (rf"\boxed{{{n}^\circ}}", str(n)),
        (rf"\boxed{{x = {n}}}", str(n)),
        (rf"\boxed{{\frac{{{n}}}{{7}}\sqrt3}}", rf"\frac{{{n}\sqrt{{3}}}}{{7}}"),
        (rf"\boxed{{{n}x + 1}}", f"1+{n}x"),
        (rf"\boxed{{({n}, 5)}}", rf"\left({n},5\right)"),
        (rf"\boxed{{{n}.50}}", rf"{n}\frac{{1}}{{2}}"),
        (rf"\boxed{{\text{{{'ABCD'[n % 4]}}}}}", "ABCD"[n % 4]),
        (rf"\boxed{{\{{{n}, {n + 1}\}}}}", f"{n + 1}, {n}"),
    ][number % 10]


def main(first: int, last: int, seconds: int) -> None:
    """One grader: its verdicts as a line of JSON."""
    found: Counter[str] = Counter()
    end = time.monotonic() + seconds
    for start in range(first, last, _AT_ONCE):
        if time.monotonic() > end:
            break
        numbers = range(start, min(start + _AT_ONCE, last))
        found.update(map(_named, grade_many(map(honest, numbers))))
    print(json.dumps(found))


def _named(verdict: Verdict) -> str:
    return {True: "right", False: f"wrong: {verdict.how}", None: "undecided"}[verdict.correct]


def under(load: Load) -> tuple[Counter[str], float]:
    """What the honest answers were judged to be while the machine was kept busy, and the seconds it took."""
    each = load.verdicts // load.graders
    with _kept_busy(load):
        started = time.monotonic()
        graders = [
            _python(_GRADE, n * each, (n + 1) * each, load.seconds, load.nice) for n in range(load.graders)
        ]
        found: Counter[str] = Counter()
        for grader in graders:
            said, _ = grader.communicate()
            found.update(json.loads(said) if grader.returncode == 0 else {"a grader failed": each})
        return found, time.monotonic() - started


@contextmanager
def _kept_busy(load: Load) -> Iterator[None]:
    counting = [_python(_COUNT, load.seconds + 60) for _ in range(load.busy)]
    try:
        yield
    finally:
        for process in counting:
            process.kill()
            process.wait()


def _python(script: str, *arguments: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
