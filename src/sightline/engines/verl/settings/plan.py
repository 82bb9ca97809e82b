"""A verl run on paper: its batches and its memory, before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from ...memory.formulas import Layout
from ...memory.run_plan import ON_A_CPU, Batches, RunPlan, image_bounds
from .resolve import parse


def plan(argv: Sequence[str], gpus: int | None, card: float) -> RunPlan:
    """The plan of a command line of `train --engine verl` on GPUs of `card` GB.

    `gpus` None takes nnodes x n_gpus_per_node; otherwise they are on one node.

    Raises:
        UserError: as `parse`; or nothing bounds the prompts.
    """
    where = () if gpus is None else ("--nnodes", "1", "--n_gpus_per_node", str(gpus))
    train = parse([*argv, *where, "--ray_address", "auto", *ON_A_CPU]).train
    rows = train.per_device_train_batch_size
    micro_batches = train.batch_rollouts // (train.ranks * rows)
    bounds = image_bounds(train)
    layout = Layout(
        gpus=train.ranks,
        card=card,
        prompt=bounds.prompt,
        response=bounds.response,
        max_pixels=bounds.max_pixels,
        mean_pixels=bounds.mean_pixels,
        rows=rows,
        rollouts=rows,  # verl keeps a batch's images in the host's memory
        reference=train.beta > 0,
        sampler=train.vllm_gpu_memory_utilization,
        sampler_gpus=train.vllm_tensor_parallel_size,
        whole_logits=True,
    )
    batches = Batches(
        rollouts=train.batch_rollouts,
        group=train.num_generations,
        rows=rows,
        micro_batches=micro_batches,
        updates=train.updates,
        max_steps=train.max_steps if train.max_steps > 0 else None,
    )
    return RunPlan("verl", str(train.model), layout, batches)
