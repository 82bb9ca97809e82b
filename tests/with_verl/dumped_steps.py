"""Loaded into verl's processes by a test: writes down every rollout batch with its weights and advantages."""

import os
from pathlib import Path
from typing import Any

import torch
import transfer_queue as tq

from sightline.engines.verl.training.rows import OTHER_LOG_PROBS, SCORE, plain
from sightline.engines.verl.training.trainer import SightlineTrainer

_TENSORS = ("prompts", "responses", "response_mask", "old_log_probs", "rollout_log_probs", "entropy")
_TENSORS += ("rm_scores", "advantages")
_compute_advantage = SightlineTrainer._compute_advantage


def dumping(self: SightlineTrainer, batch: Any, metrics: Any) -> Any:
    batch = _compute_advantage(self, batch, metrics)
    names = [SCORE + name for name in sorted(self.method.needs.signals)]
    fields = [*_TENSORS, *names, "uid", "extra_info", "session_id"]
    if self.method.view is not None and not self.method.needs.second_view_gradient:
        fields.append(OTHER_LOG_PROBS)
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
    rows = {
        name: [row.clone() for row in data[name].unbind()]
        if torch.is_tensor(data[name])
        else plain(data[name])
        for name in fields
    }
    folder = Path(os.environ["SIGHTLINE_DUMP"])
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(rows, folder / f"step_{self.global_steps}.pt")
    return batch


SightlineTrainer._compute_advantage = dumping
