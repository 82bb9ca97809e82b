"""The micro-batches that a rollout batch is split into: their order by prompt, and their token mean.

A micro-batch that holds several rollouts of a prompt encodes its image once. Which rows an optimizer step
takes stays as TRL drew it; only their order within the step changes, and the step adds them up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from ...ranks import Ranks

PROMPT = "prompt_number"
"""Name of the column that numbers the prompts, int64 [B]."""
SUMS = ("grpo", "dapo", "dr_grpo", "cispo", "sapo", "vespo", "luspo")
"""Loss types whose sum over a step does not depend on how rows are cut into micro-batches of one size."""


def together(batches: Sequence[Mapping[str, Any]], per_step: int) -> list[dict[str, Any]]:
    """The micro-batches of a rollout batch, each run of `per_step` of them sorted by prompt.

    Unchanged if optimizer steps do not divide the rollout batch, or divide it into single micro-batches.
    """
    size = min(per_step, len(batches))
    if size < 2 or len(batches) % size or per_step % size or PROMPT not in batches[0]:
        return [dict(batch) for batch in batches]
    steps = [batches[start : start + size] for start in range(0, len(batches), size)]
    return [batch for step in steps for batch in _sorted(step)]


def normalise_per_step(batches: Sequence[dict[str, Any]], per_step: int, ranks: Ranks) -> None:
    """Make TRL's token mean exact per optimizer step, as the papers run it.

    TRL divides by the rollout batch's tokens shared evenly over its steps; here each step gets the tokens
    of its own `per_step` micro-batches on all ranks. Where one step spans several rollout batches TRL's
    normaliser stays.
    """
    if len(batches) % per_step:
        return
    tokens = torch.stack([(b["completion_mask"] * b.get("tool_mask", 1)).sum() for b in batches])
    of_step = ranks.sum(tokens.float()).view(-1, per_step).sum(1)
    for index, batch in enumerate(batches):
        batch["num_items_in_batch"] = of_step[index // per_step] * len(batches) / per_step


def _sorted(batches: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    split: list[Any] = [split_pixel_values_by_grid(dict(batch)) for batch in batches]
    rows = len(split[0][PROMPT])
    order = torch.argsort(torch.cat([batch[PROMPT] for batch in split]), stable=True).tolist()
    joined = {name: _joined([batch[name] for batch in split], rows) for name in split[0]}
    found = []
    for number, batch in enumerate(split):
        chosen = order[number * rows : (number + 1) * rows]
        taken = {
            name: value if (everyone := joined[name]) is None else _taken(everyone, chosen)
            for name, value in batch.items()
        }
        found.append(unsplit_pixel_values_by_grid(taken))
    return found


def _joined(values: Sequence[Any], rows: int) -> Any:
    """One value per row of all micro-batches; None for what is not by row."""
    if all(isinstance(value, Tensor) and value.dim() and len(value) == rows for value in values):
        return torch.cat(list(values))
    if all(isinstance(value, list) and len(value) == rows for value in values):
        return [item for value in values for item in value]
    return None


def _taken(values: Any, rows: Sequence[int]) -> Any:
    return values[list(rows)] if isinstance(values, Tensor) else [values[row] for row in rows]
