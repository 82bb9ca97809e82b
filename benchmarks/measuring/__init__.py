"""Both sides of a comparison, measured in one process in turns, and the rows they leave behind.

Time is CPU time of the process, which other work on the machine disturbs least; on a CUDA device it is
wall time between synchronisations. Figures are medians over rounds; a ratio is the median of the rounds'
own ratios, ours / plain.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

OUT = Path(__file__).parent.parent / "out"


@dataclass(frozen=True)
class Row:
    """One comparison: what was measured on both sides."""

    name: str
    ours: float
    plain: float
    ratio: float
    unit: str


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smallest", action="store_true", help="the smallest size, once: does it run?")
    parser.add_argument("--rounds", type=int, default=5, help="how often both sides run in turns")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the rows as JSON")
    return parser


def seconds(run: Callable[[], Any]) -> float:
    """How long one call takes."""
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.synchronize()
    clock = time.perf_counter if cuda else time.process_time
    started = clock()
    run()
    if cuda:
        torch.cuda.synchronize()
    return clock() - started


def in_turns(name: str, ours: Callable[[], Any], plain: Callable[[], Any], rounds: int) -> Row:
    """Both sides `rounds` times, one after the other, after one unmeasured call of each."""
    ours(), plain()
    pairs = [(seconds(ours), seconds(plain)) for _ in range(rounds)]
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Row(name, mine, other, statistics.median(a / b for a, b in pairs), "s")


def peak_megabytes(run: Callable[[], Any]) -> float:
    """How far memory rises above its level before the call (Linux: the process's resident peak)."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    run()
    return _resident("VmHWM") - before


def _resident(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 2**10


def report(file: Path, rows: list[Row], title: str) -> None:
    """The rows as a table on the screen and as JSON in `file`."""
    table = Table("", "ours", "plain", "ours/plain", "plain/ours", "unit", title=title)
    for row in rows:
        table.add_row(row.name, f"{row.ours:.3f}", f"{row.plain:.3f}", f"{row.ratio:.3f}",
                      f"{1 / row.ratio:.2f}" if row.ratio else "", row.unit)  # fmt: skip
    Console().print(table)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
