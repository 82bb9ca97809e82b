"""`sightline plan --config FILE`: does a run fit, and how do its batches divide? Nothing is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..engines.command_line import chosen_engine, split_config
from ..engines.memory import GIB, Memory, architecture, checkpoint_bytes, memory
from ..engines.memory.run_plan import RunPlan
from ..engines.registry import USUAL, plan_of
from . import DONE, FOUND_PROBLEMS, screen
from .arguments import VerbParser, positive

WANTS = re.compile(r"^# Wants (\d+) GPUs? of (\d+) GB on (\d+) nodes?: (.*)$", re.MULTILINE)
"""What the header of a recipe says of its hardware."""
USUAL_CARD = 80
USABLE = 0.97
"""Share of a card's GB that is there, in GiB: 79 of 80, less what the driver takes."""
PARTS = {
    "weights": "float32, divided over the GPUs; frozen ones in bfloat16",
    "gradients": "float32",
    "optimizer": "Adam's two states",
    "reference": "of the KL",
    "gathered": "bfloat16 copies of the layers at work",
    "activations": "of one micro-batch, with gradient checkpointing",
    "images": "of the batch, as patches",
    "reserve": "CUDA, NCCL, fragments",
    "sampler": "vLLM's weights and cache",
}


def main(argv: Sequence[str]) -> int:
    """Plan a run from the command line; 1 if it does not fit."""
    options = parser()
    args, settings = options.parse_known_args(list(argv))
    gpus, card = hardware(split_config(settings)[1], args.gpus, args.card)
    found = plan_of(chosen_engine(settings) or USUAL, settings, gpus, card)
    model = architecture(found.model)
    bytes_of = memory(model, found.layout)
    fits = max(bytes_of.training, bytes_of.sampling) < USABLE * card * GIB
    if args.json:
        sizes = {name: round(value / GIB, 2) for name, value in asdict(bytes_of).items() if name in PARTS}
        ends = {name: round(getattr(bytes_of, name) / GIB, 2) for name in ("training", "sampling")}
        about = {"engine": found.engine, "model": found.model, **asdict(found.batches)}
        about |= {"gpus": found.layout.gpus, "card": card, "gib": sizes | ends, "fits": fits}
        print(json.dumps(about))
        return DONE if fits else FOUND_PROBLEMS
    for line in found.batches.lines(found.layout.gpus):
        print(line)
    _print_memory(found, bytes_of)
    trained, on_disk = found.layout.adapters or model.parameters, checkpoint_bytes(model, found.layout)
    print(
        f"{found.model}: {model.parameters:,} parameters, {trained:,} trained; "
        f"a checkpoint is {on_disk / GIB:.1f} GiB"
    )
    print(verdict(found, bytes_of, fits))
    return DONE if fits else FOUND_PROBLEMS


def parser() -> VerbParser:
    """The options of the verb."""
    options = VerbParser(
        "plan",
        "Say what memory a run takes on each GPU and how its batches divide, from its settings alone: no "
        "model is loaded, and no GPU is needed. Any setting of sightline train may be given too. Computed by "
        "the formulas of docs/recipes.md, at the longest prompts and largest images that the settings allow.",
        "sightline plan --config recipes/vgpo-7b.yaml --gpus 4 --card 141",
    )
    options.add_argument("--gpus", type=positive, help="GPUs (default: what the recipe's header says, or 1)")
    options.add_argument("--card", type=float, help="memory of one GPU in GB (default: the header's, or 80)")
    options.add_argument("--json", action="store_true", help="print the plan as JSON")
    return options


def hardware(config: str | None, gpus: int | None, card: float | None) -> tuple[int | None, float]:
    """GPUs and GB of each, as given or as the header of the recipe says."""
    text = Path(config).read_text(encoding="utf-8") if config and Path(config).is_file() else ""
    wants = WANTS.search(text)
    if wants is not None:
        gpus, card = gpus or int(wants[1]), card or float(wants[2])
    return gpus, card or USUAL_CARD


def verdict(plan: RunPlan, found: Memory, fits: bool) -> str:
    """One line: whether it fits, and what to do where it does not."""
    card, training, sampling = plan.layout.card, found.training / GIB, found.sampling / GIB
    sizes = f"{training:.0f} GiB in training, {sampling:.0f} in sampling, on a card of {card:.0f} GB"
    if not fits:
        larger = "sampling" if sampling > training else "training"
        first = (
            "lower vllm_gpu_memory_utilization"
            if larger == "sampling" and plan.layout.sampler
            else "halve per_device_train_batch_size and double gradient_accumulation_steps"
            if plan.layout.rows > 1
            else "train by LoRA (use_peft: true, recipes/vgpo-3b-lora-24gb.yaml), or on more GPUs"
        )
        return f"does not fit: {sizes}; {first}, and see docs/recipes.md#when-it-does-not-fit"
    answers = (
        f"; vLLM holds {found.sequences:.0f} answers of full length at once" if plan.layout.sampler else ""
    )
    return f"fits: {sizes}{answers}"


def _print_memory(plan: RunPlan, found: Memory) -> None:
    parts = {**PARTS, "training": "the most while gradients are computed",
             "sampling": "the most while rollouts are drawn"}  # fmt: skip
    rows = [[f"{name}: {what}", f"{getattr(found, name) / GIB:.1f}"] for name, what in parts.items()]
    where = "1 GPU" if plan.layout.gpus == 1 else f"each of {plan.layout.gpus} GPUs"
    screen.print_table(f"GiB on {where}, {plan.engine} engine", ["", "GiB"], rows)
