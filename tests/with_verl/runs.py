"""Whole runs of `sightline train --engine verl` on two CPU ranks, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
SECONDS = 400
"""A run takes about a minute on two free cores, nearly all of it the start of eight processes."""
SETTINGS = {
    "engine": "verl", "model": "embedded", "task": "shapes", "n_gpus_per_node": 2, "max_steps": 2,
    "num_generations": 4, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 2,
    "max_completion_length": 40, "max_rounds": 1, "learning_rate": 1e-4, "eval_problems": 0, "seed": 0,
    "use_cpu": "true", "bf16": "false", "gradient_checkpointing": "false", "save_strategy": "no", "limit": 64,
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """How a run ended and what it left."""

    folder: Path
    code: int
    said: str
    seconds: float

    @property
    def metrics(self) -> list[dict[str, Any]]:
        lines = (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def step(self, number: int) -> dict[str, Any]:
        """The rows of a rollout batch."""
        return torch.load(
            self.folder.with_name(f"{self.folder.name}-dump") / f"step_{number}.pt", weights_only=False
        )


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    """What a terminal sends."""
    process.send_signal(signal.SIGINT)


def train(
    folder: Path,
    *words: str,
    then: Callable[[subprocess.Popen[str]], None] | None = None,
    hooks: Mapping[str, str] | None = None,
    **settings: Any,
) -> Run:
    """Run to the end; `then` is called once a step is in metrics.jsonl, `dumped_steps` reads `hooks`."""
    chosen = SETTINGS | {"output_dir": str(folder)} | settings
    flags = [word for name, value in chosen.items() for word in (f"--{name}", str(value))]
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {
        "PYTHONPATH": path,
        "VERL_USE_EXTERNAL_MODULES": "dumped_steps",
        "SIGHTLINE_DUMP": str(folder.with_name(f"{folder.name}-dump")),
        **(hooks or {}),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-m", "sightline", "train", *flags, *words]
    started = time.monotonic()
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        if then is not None:
            _wait_for_step(folder / "metrics.jsonl", 1, process)
            then(process)
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return Run(folder, process.returncode, said, time.monotonic() - started)


def _wait_for_step(metrics: Path, step: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if metrics.is_file() and metrics.read_text(encoding="utf-8").count("\n") >= step:
            return
        time.sleep(0.05)
