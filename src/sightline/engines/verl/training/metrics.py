"""A step's metrics under the names that every engine logs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .... import masked
from ...metric_names import HELD_OUT, TERM
from ..reward_names import REWARD, UNJUDGED

NAMES = {
    "actor/loss": "loss",
    "actor/grad_norm": "grad_norm",
    "actor/lr": "learning_rate",
    "actor/entropy": "entropy",
    "actor/kl_loss": "kl",
    "actor/pg_clipfrac": "clip_ratio/region_mean",
    "actor/pg_clipfrac_lower": "clip_ratio/dual",
    "response_length/mean": "completions/mean_length",
    "response_length/min": "completions/min_length",
    "response_length/max": "completions/max_length",
    "training/epoch": "epoch",
    "perf/total_num_tokens": "num_tokens",
}
"""verl's name -> ours, which is TRL's where TRL has the quantity."""
CLIPPED = "completions/clipped_ratio"
"""Share of the responses that are as long as they may be. verl's own counts the longest of the batch."""
_SECONDS = "timing_s/"
_GROUPS = "groups/"
_HELD_OUT = re.compile(r"val-\w+/.*/(reward|rewards/[^/]+)/mean@1")
"""verl's names of what held-out problems earn, where `trainer.test_freq` has it measure them."""


def under_our_names(metrics: Mapping[str, Any], measured: Mapping[str, float]) -> dict[str, float]:
    """One row of metrics.jsonl from verl's metrics of a step and what was measured beside them."""
    row = {NAMES[name]: float(value) for name, value in metrics.items() if name in NAMES}
    for name, value in metrics.items():
        plain = name.removeprefix("actor/")
        if plain.startswith((TERM, _GROUPS)):
            row[plain] = float(value)
        elif name.startswith(_SECONDS):
            row[f"verl/seconds/{name.removeprefix(_SECONDS)}"] = float(value)
        elif found := _HELD_OUT.fullmatch(name):
            row[_held_out(found[1])] = float(value)
    return row | dict(measured)


def _held_out(name: str) -> str:
    """The name that the other engine has for it."""
    if name == f"{REWARD}accuracy":
        return f"{HELD_OUT}accuracy"
    return f"{HELD_OUT}{name}/mean" if name.startswith(REWARD) else f"{HELD_OUT}{name}"


def reward_metrics(rewards: Tensor, groups: Tensor) -> dict[str, float]:
    """`reward` and the mean standard deviation within groups; the share of groups without a contrast."""
    everyone = torch.ones_like(groups, dtype=torch.bool)
    spread = masked.group_std(rewards, groups, everyone)
    first = [groups.tolist().index(number) for number in dict.fromkeys(groups.tolist())]
    of_groups = spread[first]
    return {
        "reward": float(rewards.mean()),
        "reward_std": float(of_groups.mean()),
        "frac_reward_zero_std": float((of_groups == 0).float().mean()),
    }


def logged_by_rewards(fields: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean of every reward (`rewards/NAME/mean`) and of what rewards logged, over the responses that
    have it: a reward without an opinion is NaN."""
    sums: dict[str, list[float]] = {}
    for one in fields:
        for name, value in one.get("reward_extra_info", {}).items():
            if name != UNJUDGED and not math.isnan(value):
                sums.setdefault(name, []).append(float(value))
    return {
        f"{name}/mean" if name.startswith(REWARD) else name: sum(values) / len(values)
        for name, values in sums.items()
    }
