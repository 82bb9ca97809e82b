"""The processes of one run: which of them writes and speaks, and how they wait for each other."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

import torch.distributed as dist
from accelerate.utils import broadcast_object_list

Value = TypeVar("Value")

_PATIENCE = timedelta(days=7)


class Ranks:
    """The processes of one run. Rank 0 writes files and prints; the others do neither."""

    def __init__(self, args: Any):
        self._state: Any = args.distributed_state
        self.index = int(args.process_index)
        self.count = int(args.world_size)

    @property
    def main(self) -> bool:
        """Whether this is rank 0."""
        return self.index == 0

    @cached_property
    def _patient(self) -> Any:
        return dist.new_group(backend="gloo", timeout=_PATIENCE)

    def wait(self) -> None:
        """Wait until every rank is here, however long rank 0 takes to measure something."""
        if self.count > 1:
            dist.barrier(group=self._patient)

    def from_main(self, value: Value) -> Value:
        """Rank 0's value, on every rank."""
        if self.count == 1:
            return value
        values = [value]
        broadcast_object_list(values, from_process=0)
        return values[0]
