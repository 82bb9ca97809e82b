"""Whether the sizes of batches fit together, the nearest that do, and what they save of shared prompts."""

from __future__ import annotations

import math
import os
from typing import Any

from ....errors import UserError
from ..data.micro_batches import repeated_prompts


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


def saved_prompts(args: Any) -> float:
    """The share of prompt tokens that training does not run again where prompts are shared.

    0 where every micro-batch holds one rollout of each prompt, (G − 1) / G where it holds all.
    """
    group, micro = int(args.num_generations), int(args.per_device_train_batch_size)
    here, per_step = micro * int(args.steps_per_generation), int(args.gradient_accumulation_steps)
    ranks = [range(rank * here, (rank + 1) * here) for rank in range(args.world_size)]
    repeated = sum(repeated_prompts([row // group for row in rows], micro, per_step) for rows in ranks)
    return repeated / (here * args.world_size)


def describe_sharing(args: Any, reason: str | None = None) -> str:
    """One line: how many prompt tokens the sizes save, or the `reason` why none, and how more could be."""
    if not args.share_prompts:
        return "share_prompts: false; every rollout runs its own prompt"
    if reason is not None:
        return f"share_prompts: every rollout runs its own prompt all the same: {reason}"
    group, saved = int(args.num_generations), saved_prompts(args)
    words = (
        f"share_prompts: {saved:.0%} of prompt tokens are not run again in training (micro-batches of "
        f"{args.per_device_train_batch_size} rollouts, {group} of each prompt)"
    )
    most = (group - 1) / group
    if saved > most - 1e-9:
        return words
    return f"{words}; a per_device_train_batch_size that is a multiple of {group} saves {most:.0%}"
