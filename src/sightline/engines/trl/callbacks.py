"""What a run shows and keeps while it trains: one progress bar, metrics.jsonl, a clean stop."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ...run_folder import finite, write_text

_LEFT_OUT = {"step_time", "epoch"}


class MetricsFile(TrainerCallback):
    """Appends one JSON object per logged step: step, loss, reward, accuracy, seconds, and the rest."""

    def __init__(self, path: Path):
        self.path = path
        self._seconds, self._started = 0.0, time.perf_counter()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Drop what an interrupted run wrote after the checkpoint that is resumed."""
        if state.is_world_process_zero and self.path.is_file():
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
            kept = [line for line in lines if _step_of(line) <= state.global_step]
            write_text(self.path, "".join(f"{line}\n" for line in kept))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._started = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._seconds += time.perf_counter() - self._started
        if control.should_save:
            control.should_log = True  # so that no number waits to be logged when a run is resumed

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Any = None,
        **_: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        row = {"step": state.global_step} | {k: v for k, v in logs.items() if k not in _LEFT_OUT}
        row |= {"seconds": round(self._seconds, 4)}
        self._seconds = 0.0
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(row)) + "\n")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # a line cut by a crash


class Progress(TrainerCallback):
    """One live bar over optimizer steps: reward, accuracy, tokens a second, time left."""

    def __init__(self, label: str):
        self.label = label
        self.bar: Any = None
        self._tokens, self._since = 0.0, time.perf_counter()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._tokens, self._since = float(state.num_input_tokens_seen), time.perf_counter()
        if state.is_world_process_zero:
            self.bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc=self.label,
                unit="step",
                dynamic_ncols=True,
                file=sys.stderr,
            )

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Any = None,
        **_: Any,
    ) -> None:
        if self.bar is None or not logs or logs.get("reward") is None:
            return
        shown = {"reward": logs["reward"], "accuracy": logs.get("accuracy")}
        parts = [f"{name} {float(value):.2f}" for name, value in shown.items() if value is not None]
        now, tokens = time.perf_counter(), float(state.num_input_tokens_seen)
        if tokens > self._tokens:
            parts.append(f"{(tokens - self._tokens) / (now - self._since):,.0f} tokens/s")
            self._tokens, self._since = tokens, now
        self.bar.set_postfix_str(", ".join(parts))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self.bar is not None:
            self.bar.update(1)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self.bar is not None:
            self.bar.close()


class CleanStop(TrainerCallback):
    """Ctrl-C and SIGTERM end training after the step in hand, with a checkpoint; a second one at once."""

    def __init__(self) -> None:
        self.requested: int | None = None
        self.any_rank: Callable[[bool], bool] = bool
        """Whether a flag is set on any rank; the trainer's, once there is one."""
        self.says = True
        """Whether this process is the one that speaks."""
        self._previous: dict[int, Any] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.says = state.is_world_process_zero
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            raise KeyboardInterrupt
        self.requested = number
        if self.says:
            tqdm.write("stopping after this step (once more to stop at once) ...", file=sys.stderr)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.any_rank(self.requested is not None):
            self.requested = self.requested or signal.SIGTERM  # a launcher may signal one rank alone
            control.should_training_stop = control.should_save = True

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the signals back to whoever had them before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
