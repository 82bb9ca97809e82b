"""What a run shows and keeps while it trains: one progress bar, metrics.jsonl, a clean stop."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ...runs import finite

_RENAMED = {"step_time": None, "epoch": None}


class MetricsFile(TrainerCallback):
    """Appends one JSON object per logged step: step, loss, reward, accuracy, seconds, and the rest."""

    def __init__(self, path: Path):
        self.path = path
        self._seconds, self._started = 0.0, time.perf_counter()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Drop what an interrupted run wrote after the checkpoint that is resumed."""
        if self.path.is_file():
            lines = [
                line for line in self.path.read_text().splitlines() if _step_of(line) <= state.global_step
            ]
            self.path.write_text("".join(f"{line}\n" for line in lines))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._started = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._seconds += time.perf_counter() - self._started

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
        row = {"step": state.global_step} | {k: v for k, v in logs.items() if k not in _RENAMED}
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
    """One live bar over optimizer steps, with reward and accuracy."""

    def __init__(self, label: str):
        self.label = label
        self.bar: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
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
        if self.bar is not None and logs and logs.get("reward") is not None:
            shown = {"reward": logs["reward"], "accuracy": logs.get("accuracy")}
            self.bar.set_postfix(
                {k: f"{float(v):.2f}" for k, v in shown.items() if v is not None}, refresh=False
            )

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
    """Ctrl-C and SIGTERM end training after the step in hand, with a checkpoint; a second one at once.

    The stop waits for the end of a rollout batch, since a checkpoint in the middle of one cannot
    restore the rollouts in hand.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self.trainer: Any = None
        self._previous: dict[int, Any] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            raise KeyboardInterrupt
        self.requested = number
        tqdm.write("stopping after this step (once more to stop at once) ...", file=sys.stderr)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.requested is not None and self._at_boundary(args, state):
            control.should_training_stop = control.should_save = True

    @staticmethod
    def _at_boundary(args: Any, state: TrainerState) -> bool:
        done = state.global_step * args.gradient_accumulation_steps
        return done % (args.steps_per_generation * args.num_iterations) == 0

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the signals back to whoever had them before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
