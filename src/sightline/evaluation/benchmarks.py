"""The benchmarks by name: an explicit table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import unknown_name
from ..tasks.problem import Task
from ..tasks.shapes import ShapesTask


@dataclass(frozen=True)
class Benchmark:
    """A task with what evaluating on it takes by default."""

    make: Callable[[], Task]
    problems: int
    """How many held-out problems count as the whole benchmark."""
    max_new_tokens: int
    """Longest answer that is read."""


BENCHMARKS: dict[str, Benchmark] = {
    "shapes": Benchmark(ShapesTask, problems=512, max_new_tokens=48),
}


def benchmark(name: str) -> Benchmark:
    """The benchmark called `name`.

    Raises:
        UserError: unknown; the nearest names are given.
    """
    if name not in BENCHMARKS:
        raise unknown_name("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]
