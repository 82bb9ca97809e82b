"""Whether the sizes of batches fit together, and the nearest that do."""

from __future__ import annotations

import math
import os
from typing import Any

from ....errors import UserError


def check_batches(args: Any) -> None:
    """Refuse sizes with which a rollout batch would not hold whole prompt groups.

    Raises:
        UserError: with the sizes that came and the nearest ones that fit.
    """
    group, device = int(args.num_generations or 0), int(args.per_device_train_batch_size)
    if group < 2:
        raise UserError(
            f"num_generations is {args.num_generations}, but an advantage compares the rollouts of a prompt; "
            "expected at least 2, such as 8"
        )
    for name in ("per_device_train_batch_size", "gradient_accumulation_steps"):
        if getattr(args, name) < 1:
            raise UserError(f"{name} must be at least 1, got {getattr(args, name)}")
    processes = int(os.environ.get("WORLD_SIZE") or 1)
    if args.generation_batch_size is not None:
        if args.steps_per_generation is None:
            _check_given(int(args.generation_batch_size), group, device * processes)
        return
    steps = int(args.steps_per_generation or args.gradient_accumulation_steps)
    rollouts = device * processes * steps
    if rollouts % group:
        unit = group // math.gcd(group, processes * steps)
        sizes = " or ".join(map(str, nearest(device, unit)))
        raise UserError(
            f"{rollouts} rollouts a batch (per_device_train_batch_size {device} x {processes} "
            f"{'process' if processes == 1 else 'processes'} x {steps} steps) do not hold whole groups of "
            f"num_generations {group}; nearest that do: per_device_train_batch_size {sizes}"
        )


def _check_given(rollouts: int, group: int, micro: int) -> None:
    unit = math.lcm(group, micro)
    if rollouts < 1 or rollouts % unit:
        sizes = " or ".join(map(str, nearest(rollouts, unit)))
        raise UserError(
            f"generation_batch_size {rollouts} must be a multiple of num_generations {group} and of the "
            f"{micro} rows that all processes take at once; nearest that are: {sizes}"
        )


def nearest(size: int, unit: int) -> list[int]:
    """The multiples of `unit` around `size`, at least `unit`."""
    below = size // unit * unit
    return [multiple for multiple in (below, below + unit) if multiple > 0]
