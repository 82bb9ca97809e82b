"""The processes of one run: which of them writes and prints, and what they exchange."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import torch
from torch import Tensor

from .. import masked

Value = TypeVar("Value")


class Ranks:
    """The processes of one run, here a single one; an engine that runs several overrides what they exchange.

    Every rank holds as many rows of a batch as any other, rank 0 the first. Rank 0 writes files and
    prints; the others do neither. What is exchanged has to be asked for by every rank.
    """

    index = 0
    count = 1

    @property
    def main(self) -> bool:
        """Whether this is rank 0."""
        return self.index == 0

    def wait(self) -> None:
        """Wait until every rank is here, however long rank 0 takes to measure something."""

    def from_main(self, value: Value) -> Value:
        """Rank 0's value, on every rank."""
        return value

    def gather_rows(self, rows: Tensor) -> Tensor:
        """Rows `[b, ...]` of all ranks in order, `[B, ...]`, padded to the longest row with zeros."""
        return rows

    def gather_items(self, items: list[Value]) -> list[Value]:
        """Items of all ranks in order."""
        return items

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over ranks."""
        return values

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set on any rank."""
        return flag

    def own(self, everyone: Any) -> Any:
        """This rank's slice of a sequence or tensor that holds all ranks' rows."""
        size = len(everyone) // self.count
        return everyone[self.index * size : (self.index + 1) * size]

    def groups_multiple(self, group_size: int) -> int:
        """Groups have to come in multiples of this for every rank to get as many rollouts."""
        return self.count // math.gcd(self.count, group_size)


def mean_over_tokens(values: Tensor, mask: Tensor, ranks: Ranks) -> float | None:
    """The mean of `values` [b, T] over the valid tokens of all ranks; None where there is no token."""
    sums = torch.stack([masked.row_sum(values, mask).sum(), mask.sum().to(values.dtype)])
    total = ranks.sum(sums)
    return float(total[0] / total[1]) if total[1] > 0 else None
