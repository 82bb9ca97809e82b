"""Both sides of a comparison, measured in one process in turns, and the rows they leave behind.

On a CPU time is CPU time of the process, which other work on the machine disturbs least; on a CUDA device it
is wall time between synchronisations. Figures are medians over rounds; a ratio is the median of the rounds'
own ratios, ours / plain.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.console import Console
from rich.table import Table

OUT = Path(__file__).parent.parent / "out"
VERL_NOTES = "SIGHTLINE_MEASURED"
"""The variable that names the folder of what verl's processes measure."""


@dataclass(frozen=True)
class Row:
    """One comparison: what was measured on both sides."""

    name: str
    ours: float
    plain: float
    ratio: float
    unit: str


def arguments(description: str | None, *, devices: bool = False) -> argparse.ArgumentParser:
    """The options every benchmark has, and with `devices` those of one that also runs on a GPU."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smallest", action="store_true", help="the smallest size, once: does it run?")
    parser.add_argument("--rounds", type=int, default=3, help="how often both sides run in turns")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the rows as JSON")
    if devices:
        parser.add_argument("--device", default="cpu", help="cpu or cuda")
        parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"])
        parser.add_argument("--shape", choices=["20m", "3b", "7b"], help="whose sizes the weights have")
    return parser


@dataclass(frozen=True)
class Meter:
    """Time and memory on one device."""

    device: str = "cpu"

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU, which works on while Python goes on."""
        return torch.device(self.device).type == "cuda"

    def seconds(self, run: Callable[[], Any]) -> float:
        """How long one call takes."""
        clock = time.perf_counter if self.cuda else time.process_time
        self._wait()
        started = clock()
        run()
        self._wait()
        return clock() - started

    def _wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def in_turns(
        self, name: str, ours: Callable[[], Any], plain: Callable[[], Any], rounds: int, *, warm: bool = False
    ) -> Row:
        """Both sides `rounds` times, one after the other; unless `warm`, after an unmeasured call of each."""
        if not warm:
            ours(), plain()
        pairs = [(self.seconds(ours), self.seconds(plain)) for _ in range(rounds)]
        mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
        return Row(name, mine, other, statistics.median(a / b for a, b in pairs), "s")

    def spent(self, run: Callable[[], Any]) -> tuple[float, float]:
        """Seconds of one call, and by how many megabytes memory rises above its level before it.

        On a CPU that is the process's resident peak, as Linux knows it.
        """
        gc.collect()
        if self.cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            seconds = self.seconds(run)
            return seconds, (torch.cuda.max_memory_allocated(self.device) - before) / 2**20
        _give_back()
        Path("/proc/self/clear_refs").write_text("5")
        before = _resident("VmRSS")
        return self.seconds(run), _resident("VmHWM") - before


def _give_back() -> None:
    """Memory that the allocator has kept would be taken again without a rise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 2**10


def machine(device: str = "cpu") -> str:
    """Where and with what the figures came about, and how busy it was, in one line."""
    card = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else _processor()
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"{card}, {torch.get_num_threads()} thread(s), torch {torch.__version__}, "
        f"transformers {transformers.__version__}, load of the last 1, 5, 15 minutes {loads}, {date.today()}"
    )


def _processor() -> str:
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def report(file: Path, rows: list[Row], title: str, device: str = "cpu") -> None:
    """The rows as a table on the screen and as JSON in `file`, the machine in a line of text beside it."""
    table = Table("", "ours", "plain", "ours/plain", "plain/ours", "unit", title=title)
    for row in rows:
        table.add_row(row.name, f"{row.ours:.3f}", f"{row.plain:.3f}", f"{row.ratio:.3f}",
                      f"{1 / row.ratio:.2f}" if row.ratio else "", row.unit)  # fmt: skip
    Console().print(table, machine(device))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    file.with_suffix(".txt").write_text(machine(device) + "\n")
