"""A TRL run on paper: its batches and its memory, before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...command_line import read_yaml, split_config
from ...memory.architectures import architecture
from ...memory.formulas import Layout
from ...memory.run_plan import ON_A_CPU, Batches, RunPlan, adapters_of, image_bounds
from .resolve import parse, parser


def plan(argv: Sequence[str], gpus: int | None, card: float) -> RunPlan:
    """The plan of a command line of `train` on so many GPUs of `card` GB; None: one.

    Raises:
        UserError: as `parse`; or nothing bounds the prompts.
    """
    settings = parse([*argv, *ON_A_CPU, "--use_vllm", "false"])
    args: Any = settings.train
    gpus = gpus or 1
    rows, group = int(args.per_device_train_batch_size), int(args.num_generations)
    per_step = int(args.gradient_accumulation_steps)
    if "generation_batch_size" in settings.set_by:  # of all GPUs
        micro_batches = max(int(args.generation_batch_size) // (rows * gpus), 1)
    else:
        micro_batches = int(args.steps_per_generation)
    lora = settings.model.use_peft
    adapters = 0
    if lora:
        targets = settings.model.lora_target_modules
        sizes = architecture(args.model)
        adapters = adapters_of(sizes, settings.model.lora_r, targets, not args.freeze_vision)
    bounds = image_bounds(args)
    layout = Layout(
        gpus=gpus,
        card=card,
        prompt=bounds.prompt,
        response=bounds.response,
        max_pixels=bounds.max_pixels,
        mean_pixels=bounds.mean_pixels,
        rows=rows,
        rollouts=rows * micro_batches,
        adapters=adapters,
        reference=args.beta > 0 and not lora,
        sampler=args.vllm_gpu_memory_utilization if _shares_the_card(argv) else 0.0,
        sampler_gpus=args.vllm_tensor_parallel_size,
        sleeps=args.vllm_enable_sleep_mode,
    )
    batches = Batches(
        rollouts=rows * gpus * micro_batches,
        group=group,
        rows=rows,
        micro_batches=micro_batches,
        updates=max(micro_batches // per_step, 1) * int(args.num_iterations),
        max_steps=args.max_steps if args.max_steps > 0 else None,
    )
    return RunPlan("trl", args.model, layout, batches)


def _shares_the_card(argv: Sequence[str]) -> bool:
    """Whether vLLM samples on the GPUs that train; asked of the words, since it need not be here."""
    flags, file = split_config(argv)
    options = parser()
    config = read_yaml(file) if file else {}
    options.set_defaults(**{name: config[name] for name in ("use_vllm", "vllm_mode") if name in config})
    given, _ = options.parse_known_args(flags)
    return bool(given.use_vllm) and given.vllm_mode == "colocate"
