"""What a run shows and keeps while it trains: one progress bar, metrics.jsonl, a clean stop on a signal.

An engine calls the `Watcher`s of a run at four moments: before the first optimizer step, before and after
every one, whenever metrics are logged, and after the last.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from ..plain_files import Refused, parse_json
from ..run_folder import finite, write_text
from .metric_names import HELD_OUT as PREFIX

_LEFT_OUT = {"step_time", "epoch"}


@dataclass(frozen=True)
class Moment:
    """Where training stands when a watcher is called."""

    step: int
    """Optimizer steps done."""
    steps: int
    """Optimizer steps of the whole run."""
    main: bool = True
    """Whether this process writes and prints (rank 0)."""
    tokens: float = 0.0
    """Tokens that were trained on so far."""
    model: Any = None
    """The model, where the engine holds it in this process."""


class Watcher:
    """Follows a training; a subclass overrides what it needs."""

    def begin(self, now: Moment) -> None:
        """Before the first step of this process, which is a later one when a run is resumed."""

    def step_begins(self, now: Moment) -> None:
        """Before an optimizer step and the sampling for it."""

    def step_ends(self, now: Moment) -> None:
        """After an optimizer step."""

    def logged(self, now: Moment, metrics: Mapping[str, Any]) -> None:
        """Metrics of the steps since the last log."""

    def end(self, now: Moment) -> None:
        """After the last step."""


class MetricsFile(Watcher):
    """Appends one JSON object per logged step: step, loss, reward, accuracy, seconds, and the rest."""

    def __init__(self, path: Path):
        self.path = path
        self._seconds, self._started = 0.0, time.perf_counter()

    def begin(self, now: Moment) -> None:
        """Drop what an interrupted run wrote after the checkpoint that is resumed."""
        if now.main and self.path.is_file():
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
            kept = [line for line in lines if _step_of(line) <= now.step]
            write_text(self.path, "".join(f"{line}\n" for line in kept))

    def step_begins(self, now: Moment) -> None:
        self._started = time.perf_counter()

    def step_ends(self, now: Moment) -> None:
        self._seconds += time.perf_counter() - self._started

    def logged(self, now: Moment, metrics: Mapping[str, Any]) -> None:
        held_out = is_held_out(metrics)
        if not now.main or not (held_out or "loss" in metrics):
            return
        row = {"step": now.step} | {k: v for k, v in metrics.items() if k not in _LEFT_OUT}
        if held_out:
            self._add_to_step(row)
            return
        row |= {"seconds": round(self._seconds, 4)}
        self._seconds = 0.0
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(row)) + "\n")

    def _add_to_step(self, row: dict[str, Any]) -> None:
        """Put held-out metrics into the line of their step, or into one of their own if it has none."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        if lines and _step_of(lines[-1]) == row["step"]:
            row = json.loads(lines.pop()) | row
        write_text(self.path, "".join(f"{line}\n" for line in [*lines, json.dumps(finite(row))]))


def is_held_out(metrics: Mapping[str, Any]) -> bool:
    """Whether metrics are of held-out problems, and not of a step."""
    return "loss" not in metrics and any(name.startswith(PREFIX) for name in metrics)


def _step_of(line: str) -> float:
    try:
        return float(parse_json(line)["step"])
    except (Refused, ValueError, KeyError, TypeError, OverflowError):
        return float("inf")  # a line cut by a crash


class ProgressBar(Watcher):
    """One live bar over optimizer steps: reward, accuracy, tokens a second, time left, and what held-out
    problems gave last."""

    def __init__(self, label: str):
        self.label = label
        self.bar: Any = None
        self._shown: list[str] = []
        self._held_out: list[str] = []
        self._tokens, self._since = 0.0, time.perf_counter()

    def begin(self, now: Moment) -> None:
        self._tokens, self._since = now.tokens, time.perf_counter()
        if now.main:
            self.bar = tqdm(
                total=now.steps,
                initial=now.step,
                desc=self.label,
                unit="step",
                dynamic_ncols=True,
                file=sys.stderr,
            )

    def logged(self, now: Moment, metrics: Mapping[str, Any]) -> None:
        if self.bar is None:
            return
        if is_held_out(metrics):
            self._held_out = [_held_out_text(metrics)]
            self._show()
        if metrics.get("reward") is None:
            return
        shown = {"reward": metrics["reward"], "accuracy": metrics.get("accuracy")}
        parts = [f"{name} {float(value):.2f}" for name, value in shown.items() if value is not None]
        seconds = time.perf_counter()
        if now.tokens > self._tokens:
            parts.append(f"{(now.tokens - self._tokens) / (seconds - self._since):,.0f} tokens/s")
            self._tokens, self._since = now.tokens, seconds
        self._shown = parts
        self._show()

    def _show(self) -> None:
        self.bar.set_postfix_str(", ".join([*self._shown, *self._held_out]))

    def step_ends(self, now: Moment) -> None:
        if self.bar is not None:
            self.bar.update(1)

    def end(self, now: Moment) -> None:
        if self.bar is not None:
            self.bar.close()


def _held_out_text(metrics: Mapping[str, Any]) -> str:
    """`held out 61.3 %` after the accuracy, or the reward where there is none."""
    accuracy, reward = (metrics.get(f"{PREFIX}{name}") for name in ("accuracy", "reward"))
    return f"held out {reward:.2f}" if accuracy is None else f"held out {100 * accuracy:.1f} %"


class CleanStop:
    """Ctrl-C and SIGTERM end training after the current step, with a checkpoint; a second one at once.

    `listen` when training begins, `wanted` after every step, `restore` when it is over.
    """

    def __init__(self, any_rank: Callable[[bool], bool] = bool):
        self.requested: int | None = None
        self.any_rank = any_rank
        """Whether a flag is set on any rank."""
        self._prints = True
        self._previous: dict[int, Any] = {}

    def listen(self, prints: bool = True) -> None:
        """Take the signals; `prints`: whether this process tells that it heard one."""
        self._prints = prints
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            raise KeyboardInterrupt
        self.requested = number
        if self._prints:
            tqdm.write("stopping after this step (once more to stop at once) ...", file=sys.stderr)

    def wanted(self) -> bool:
        """Whether to save and stop now; every rank has to ask."""
        if not self.any_rank(self.requested is not None):
            return False
        self.requested = self.requested or signal.SIGTERM  # a launcher may signal one rank alone
        return True

    def restore(self) -> None:
        """Give the signals back to whoever had them before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
