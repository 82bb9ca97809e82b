"""Loaded into verl's processes by a test: writes down every rollout batch with its weights and advantages.

Where the test asks for it, a step has a score that is NaN, and responses of an odd number of letters cannot
be judged.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transfer_queue as tq  # pyright: ignore[reportMissingImports]

import sightline.rewards.functions as reward_functions
from sightline.engines.verl.training.rows import OTHER_LOG_PROBS, SCORE, plain
from sightline.engines.verl.training.trainer import SightlineTrainer
from sightline.rewards.verdict import UNDECIDED, Verdict

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
_columns = SightlineTrainer._columns


def with_a_score_that_is_not_finite(self: SightlineTrainer, batch: Any, names: list[str]) -> Any:
    data = _columns(self, batch, names)
    if str(self.global_steps) == os.environ.get("SIGHTLINE_NAN_STEP") and names:
        data[SCORE + names[0]].values()[0] = float("nan")
    return data


SightlineTrainer._columns = with_a_score_that_is_not_finite

_grade_any = reward_functions.grade_any


def judging_even_lengths_only(asked: Any, **options: Any) -> list[Verdict]:
    questions = list(asked)
    verdicts = _grade_any(questions, **options)
    odd = [len(text) % 2 == 1 for text, *_ in questions]
    return [
        replace(one, correct=None, how=UNDECIDED) if left else one
        for one, left in zip(verdicts, odd, strict=True)
    ]


if os.environ.get("SIGHTLINE_UNDECIDED"):
    reward_functions.grade_any = judging_even_lengths_only
