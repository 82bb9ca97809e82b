"""The micro-batches that a rollout batch is split into: their order by prompt, and their token mean.

A micro-batch that holds several rollouts of a prompt runs it, or at least its images, once. TRL shuffles rows
before it cuts micro-batches; `by_prompt` makes of that a shuffle of prompts, as the papers' code takes
mini-batches of prompts, and `together` leaves to each optimizer step the rows that TRL drew for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from ...ranks import Ranks

PROMPT = "prompt_number"
"""Name of the column that numbers the prompts, int64 [B]."""
SUMS = ("grpo", "dapo", "dr_grpo", "cispo", "sapo", "vespo", "luspo")
"""Loss types whose sum over a step does not depend on how rows are cut into micro-batches of one size."""


def by_prompt(batches: Sequence[Mapping[str, Any]], per_step: int) -> list[dict[str, Any]]:
    """The micro-batches of a rollout batch, `per_step` of them a step, of whole prompts.

    Where sizes allow, steps and micro-batches cut no prompt. Prompts go to steps in the order in which TRL's
    shuffle names them first; within a step they are sorted.
    """
    if PROMPT not in batches[0]:
        return [dict(batch) for batch in batches]
    numbers = [number for batch in batches for number in batch[PROMPT].tolist()]
    return _arranged(batches, whole_prompts(numbers, len(batches[0][PROMPT]), per_step))


def whole_prompts(numbers: Sequence[int], size: int, per_step: int) -> list[int]:
    """An order of rows, whose prompts are `numbers`, in steps of `per_step` micro-batches of `size` rows."""
    order: list[int] = []
    for step in _filled(range(len(numbers)), numbers, size * per_step):
        by_number = sorted(step, key=numbers.__getitem__)
        order += [row for part in _filled(by_number, numbers, size) for row in part]
    return order


def _filled(rows: Iterable[int], numbers: Sequence[int], size: int) -> list[list[int]]:
    """`rows` in parts of `size`: the first prompt that still fits comes next; if none does, the first, which
    is cut."""
    of_prompt: dict[int, list[int]] = {}
    for row in rows:
        of_prompt.setdefault(numbers[row], []).append(row)
    order: list[int] = []
    while of_prompt:
        room = size - len(order) % size
        fitting = (number for number, own in of_prompt.items() if len(own) <= room)
        order += of_prompt.pop(next(fitting, next(iter(of_prompt))))
    return [order[start : start + size] for start in range(0, len(order), size)]


def repeated_prompts(numbers: Sequence[int], size: int, per_step: int) -> int:
    """How many rows have their prompt before them in their micro-batch, arranged by `whole_prompts`."""
    arranged = [numbers[row] for row in whole_prompts(numbers, size, per_step)]
    return sum(size - len(set(arranged[start : start + size])) for start in range(0, len(arranged), size))


def together(batches: Sequence[Mapping[str, Any]], per_step: int) -> list[dict[str, Any]]:
    """The micro-batches of a rollout batch, each run of `per_step` of them sorted by prompt.

    Unchanged if optimizer steps do not divide the rollout batch, or divide it into single micro-batches.
    """
    size = min(per_step, len(batches))
    if size < 2 or len(batches) % size or per_step % size or PROMPT not in batches[0]:
        return [dict(batch) for batch in batches]
    steps = [batches[start : start + size] for start in range(0, len(batches), size)]
    sorted_rows = [
        torch.argsort(torch.cat([b[PROMPT] for b in step]), stable=True).tolist() for step in steps
    ]
    return [batch for step, order in zip(steps, sorted_rows, strict=True) for batch in _arranged(step, order)]


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


def _arranged(batches: Sequence[Mapping[str, Any]], order: Sequence[int]) -> list[dict[str, Any]]:
    """The same number of micro-batches with the rows of all of them in this order."""
    split: list[Any] = [split_pixel_values_by_grid(dict(batch)) for batch in batches]
    rows = len(split[0][PROMPT])
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
