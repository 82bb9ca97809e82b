"""The processes of a TRL run, as accelerate and torch.distributed connect them."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Any

import torch
import torch.distributed as dist
from accelerate.utils import broadcast_object_list, gather, gather_object, pad_across_processes, reduce
from torch import Tensor

from ..ranks import Ranks, Value

_PATIENCE = timedelta(days=7)


class AccelerateRanks(Ranks):
    """The processes that `accelerate launch` or `torchrun` started for these arguments."""

    def __init__(self, args: Any):
        self._state: Any = args.distributed_state  # building it connects the processes
        self._device: Any = args.device
        self.index = int(args.process_index)
        self.count = int(args.world_size)
        if dist.is_initialized():  # transformers forgets the time-out where it trains on CPUs
            dist.distributed_c10d._set_pg_timeout(timedelta(seconds=args.ddp_timeout))

    @cached_property
    def _patient(self) -> Any:
        return dist.new_group(backend="gloo", timeout=_PATIENCE)

    def wait(self) -> None:
        if self.count > 1:
            dist.barrier(group=self._patient)

    def from_main(self, value: Value) -> Value:
        if self.count == 1:
            return value
        values = [value]
        broadcast_object_list(values, from_process=0)
        return values[0]

    def gather_rows(self, rows: Tensor) -> Tensor:
        padded: Any = pad_across_processes(rows, dim=1) if rows.dim() > 1 else rows
        return gather(padded)  # pyright: ignore[reportReturnType]

    def gather_items(self, items: list[Value]) -> list[Value]:
        return gather_object(items) if self.count > 1 else items  # pyright: ignore[reportReturnType]

    def sum(self, values: Tensor) -> Tensor:
        return reduce(values, reduction="sum")  # pyright: ignore[reportReturnType]

    def any(self, flag: bool) -> bool:
        if self.count == 1:
            return flag
        return bool(self.sum(torch.tensor(float(flag), device=self._device)).item() > 0)
