"""Loaded into verl's processes by verl_step.py: what a step takes there, one line of JSON a measurement.

A worker runs verl's own old-log-prob pass and Sightline's scoring pass on the same rollouts, in turns; the
trainer's own share is what its advantages take beyond verl's. Times are CPU times of the process.
"""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transfer_queue as tq  # pyright: ignore[reportMissingImports]
from verl.trainer.ppo.v1 import PPOTrainerSync  # pyright: ignore[reportMissingImports]
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead  # pyright: ignore[reportMissingImports]

from measuring import VERL_NOTES
from sightline.engines.verl.training.fsdp_engine import SightlineEngine
from sightline.engines.verl.training.request import KEY
from sightline.engines.verl.training.trainer import SightlineTrainer


def note(kind: str, value: float) -> None:
    """One line in this process's file."""
    with (Path(os.environ[VERL_NOTES]) / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps({"kind": kind, "value": value}) + "\n")


def timed(kind: str, run: Callable[[], Any]) -> Any:
    """What `run` returns, its CPU time noted."""
    started = time.process_time()
    found = run()
    note(kind, time.process_time() - started)
    return found


_infer, _train = SightlineEngine.infer_batch, SightlineEngine.train_batch
_ours, _verls = SightlineTrainer._compute_advantage, PPOTrainerSync._compute_advantage
_get, _metrics = tq.kv_batch_get, SightlineTrainer._compute_metrics


def infer_batch(self: Any, data: Any, loss_function: Any = None) -> Any:
    if KEY not in data.keys():  # noqa: SIM118 (a TensorDict)
        return _infer(self, data, loss_function)
    copy = data.clone()

    def verls() -> None:
        timed("verl's pass", lambda: FSDPEngineWithLMHead.infer_batch(self, copy, loss_function))

    self.turn = 1 - getattr(self, "turn", 0)
    if self.turn:
        verls()
    found = timed("scoring", lambda: _infer(self, data, loss_function))
    if not self.turn:
        verls()
    return found


def train_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
    return timed("update", lambda: _train(self, *args, **kwargs))


def compute_advantage(self: Any, batch: Any, metrics: Any) -> Any:
    return timed("advantages", lambda: _ours(self, batch, metrics))


def verls_advantage(self: Any, batch: Any, metrics: Any) -> Any:
    return timed("verl's advantages", lambda: _verls(self, batch, metrics))


def kv_batch_get(*args: Any, select_fields: Sequence[str] | None = None, **kwargs: Any) -> Any:
    found = _get(*args, select_fields=select_fields, **kwargs)
    note("fetched", float(sum(_bytes(value) for value in found.values())))
    return found


def compute_metrics(self: Any, *args: Any, **kwargs: Any) -> None:
    _metrics(self, *args, **kwargs)
    status = Path("/proc/self/status").read_text()
    for kind, field in (("resident", "VmRSS:"), ("peak", "VmHWM:")):
        note(kind, float(status.split(field)[1].split()[0]) * 1024)


def _bytes(column: Any) -> int:
    if torch.is_tensor(column):
        values = column.values() if column.is_nested else column
        return values.numel() * values.element_size()
    return len(pickle.dumps(column))


SightlineEngine.infer_batch, SightlineEngine.train_batch = infer_batch, train_batch
SightlineTrainer._compute_advantage, PPOTrainerSync._compute_advantage = compute_advantage, verls_advantage
SightlineTrainer._compute_metrics = compute_metrics
tq.kv_batch_get = kv_batch_get
