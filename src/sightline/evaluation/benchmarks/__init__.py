"""The benchmarks: a table of published sets, the papers' suites, and a user's own from YAML."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import unknown_name
from .benchmark import Benchmark
from .registry import BENCHMARKS
from .suites import SUITES, Suite
from .user_yaml import read_benchmarks

__all__ = ["BENCHMARKS", "SUITES", "Benchmark", "Suite", "benchmark", "read_benchmarks", "suite"]


def benchmark(name: str, own: Mapping[str, Benchmark] | None = None) -> Benchmark:
    """The benchmark called `name`; `own` ones go before the published.

    Raises:
        UserError: unknown; the nearest names are given.
    """
    known = {**BENCHMARKS, **(own or {})}
    if name not in known:
        raise unknown_name("benchmark", name, known)
    return known[name]


def suite(name: str) -> Suite:
    """The suite of that paper; `UserError` with the valid names if there is none."""
    if name not in SUITES:
        raise unknown_name("suite", name, SUITES)
    return SUITES[name]
