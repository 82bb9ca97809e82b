"""How a batch of rollouts is cut for the scoring pass: prompts that run together, and their responses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from ...rollouts import Rollouts

_SHORTEST_SHARE = 0.75
"""A part's shortest response has at least this share of its longest one's tokens, if the part is large."""
_SMALLEST_PART = 32


@dataclass(frozen=True)
class MicroBatch:
    """Responses that run at once."""

    rows: Tensor
    """int64 [R], their rows in the batch."""
    owner: Tensor
    """int64 [R], their prompts among those of the bundle."""
    length: int
    """Tokens of the longest one, at least 1."""


@dataclass(frozen=True)
class Bundle:
    """Prompts that run at once, and their responses in parts."""

    prompts: list[int]
    """One row of the batch for each distinct prompt."""
    parts: list[MicroBatch]

    def without(self, rows: Collection[int]) -> Bundle:
        """The bundle without these responses, and without prompts that no response is left of."""
        left = [
            (part, torch.tensor([row not in rows for row in part.rows.tolist()], device=part.rows.device))
            for part in self.parts
        ]
        places = sorted({place for part, stays in left for place in part.owner[stays].tolist()})
        new = torch.zeros(len(self.prompts), dtype=torch.long, device=self.parts[0].rows.device)
        new[places] = torch.arange(len(places), device=new.device)
        return Bundle(
            prompts=[self.prompts[place] for place in places],
            parts=[
                MicroBatch(part.rows[stays], new[part.owner[stays]], part.length)
                for part, stays in left
                if stays.any()
            ],
        )


def bundles(
    rollouts: Rollouts, rows_per_pass: int, *, even: bool = False, apart: Tensor | None = None
) -> list[Bundle]:
    """The batch cut into bundles of whole groups, and those into parts of up to `rows_per_pass` rows.

    Groups whose rows differ in `apart` [B] share no bundle.

    Rows of similar length share a part, so that little padding runs. With `even`, every rank that holds
    as many rows gets as many bundles of one part each, as sharded parameters need it: they are gathered
    by all ranks together, call by call.

    Raises:
        ValueError: rollouts of one group have different prompts.
    """
    size = max(1, rows_per_pass)
    groups = _groups(rollouts)
    if even:
        size = _over_ranks(max(size, *(len(rows) for rows in groups)))
        every = torch.tensor([row for rows in groups for row in rows])
        return [_bundle(rollouts, rows.tolist(), len(rows), even) for rows in every.split(size)]
    together: list[list[int]] = []
    kinds = [0] * len(rollouts) if apart is None else apart.tolist()
    for rows in sorted(groups, key=lambda rows: kinds[rows[0]]):
        alike = together and kinds[together[-1][0]] == kinds[rows[0]]
        if alike and len(together[-1]) + len(rows) <= size:
            together[-1] += rows
        else:
            together.append(list(rows))
    return [_bundle(rollouts, rows, size, even) for rows in together]


def _groups(rollouts: Rollouts) -> list[list[int]]:
    """Rows of each group, in order of first appearance."""
    groups: dict[int, list[int]] = {}
    for row, group in enumerate(rollouts.group_ids.tolist()):
        groups.setdefault(group, []).append(row)
    first = torch.empty(len(rollouts), dtype=torch.long, device=rollouts.prompt_ids.device)
    for rows in groups.values():
        first[rows] = rows[0]
    masked = rollouts.prompt_ids * rollouts.prompt_mask
    other = ((masked != masked[first]) | (rollouts.prompt_mask != rollouts.prompt_mask[first])).any(1)
    if other.any():
        row = int(other.nonzero()[0])
        raise ValueError(
            f"row {row} has another prompt than row {int(first[row])}, though both are of group "
            f"{int(rollouts.group_ids[row])}; rollouts of one group must share prompt and images"
        )
    return list(groups.values())


def _bundle(rollouts: Rollouts, rows: Sequence[int], size: int, even: bool) -> Bundle:
    """Rows that run behind the same prompts, cut into parts of up to `size`."""
    prompts: dict[int, int] = {}
    owner = {row: prompts.setdefault(group, row) for row in rows for group in [int(rollouts.group_ids[row])]}
    places = {row: place for place, row in enumerate(prompts.values())}
    lengths = dict(zip(rows, _lengths(rollouts, rows), strict=True))
    parts = [list(rows)] if even else _by_length(rows, lengths, size)
    device = rollouts.mask.device
    return Bundle(
        prompts=list(prompts.values()),
        parts=[
            MicroBatch(
                torch.tensor(part, device=device),
                torch.tensor([places[owner[row]] for row in part], device=device),
                max(1, *(lengths[row] for row in part)),
            )
            for part in parts
        ],
    )


def _lengths(rollouts: Rollouts, rows: Sequence[int]) -> list[int]:
    """Where each response's last valid token ends."""
    mask = rollouts.mask[list(rows)]
    ends = (torch.arange(1, mask.shape[1] + 1, device=mask.device) * mask).amax(1)
    return ends.tolist()


def _by_length(rows: Sequence[int], lengths: dict[int, int], size: int) -> list[list[int]]:
    """Rows from the longest to the shortest, cut where the next ones are much shorter."""
    parts: list[list[int]] = []
    for row in sorted(rows, key=lambda row: -lengths[row]):
        shorter = parts and lengths[row] < _SHORTEST_SHARE * lengths[parts[-1][0]]
        if not parts or len(parts[-1]) >= size or (shorter and len(parts[-1]) >= _SMALLEST_PART):
            parts.append([])
        parts[-1].append(row)
    return parts


def is_sharded(model: torch.nn.Module) -> bool:
    """Whether parameters are gathered by all ranks together, at each module's call (FSDP2, ZeRO-3)."""
    return any(isinstance(p, DTensor) or hasattr(p, "ds_id") for p in model.parameters())


def _over_ranks(size: int) -> int:
    if not torch.distributed.is_initialized():
        return size
    largest = torch.tensor(size, device="cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
    torch.distributed.all_reduce(largest, op=torch.distributed.ReduceOp.MAX)
    return int(largest)
