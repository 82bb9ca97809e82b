"""How much memory a run takes on each GPU, from its sizes alone.

python recipes/sizes.py                                  the table of docs/recipes.md
python recipes/sizes.py RECIPE [--gpus 4] [--card 48] [--any_train_setting value]
python recipes/sizes.py --write                          the table and the recipes' headers, written again

docs/recipes.md derives the formulas. GiB are 2^30 bytes; a card of "80 GB" has about 79 of them.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

GIB = 2**30
HERE = Path(__file__).parent
TABLE = HERE.parent / "docs" / "recipes.md"
MARKS = ("<!-- sizes: made by `python recipes/sizes.py --write` -->", "<!-- /sizes -->")
WANTS = re.compile(r"^# Wants (\d+) GPUs? of (\d+) GB on (\d+) nodes?: (.*)$", re.MULTILINE)

MEAN_PIXELS = 500_000
"""Pixels of an average picture, where the bounds allow; an assumption, see `sightline data check`."""
HEAD_TILE = 1 * GIB
"""Logits of the few positions that the fused head looks at together, and their gradient."""
RESERVE = 3 * GIB
"""CUDA context, NCCL's buffers, fragments."""
SAMPLER_OVERHEAD = 1.5 * GIB
"""What vLLM keeps beside weights and KV cache: graphs and the largest activations."""


@dataclass(frozen=True)
class Architecture:
    """What of a vision-language model decides its memory. Counts are parameters, the rest widths."""

    parameters: int
    layer_parameters: int
    """One decoder layer."""
    end_parameters: int
    """Embeddings and head; once if they are tied."""
    layers: int
    hidden: int
    inner: int
    """Width of the MLP."""
    key_values: int
    """Key-value heads × their width."""
    vision_layers: int
    vision_hidden: int
    vision_inner: int
    patch: int
    """Side of a patch in pixels; 2 × 2 patches make one token."""


ARCHITECTURES = {
    "Qwen/Qwen2.5-VL-3B-Instruct": Architecture(
        3_754_622_976, 77_076_992, 311_164_928, 36, 2048, 11_008, 256, 32, 1280, 3420, 14
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": Architecture(
        8_292_166_656, 233_057_792, 1_089_994_752, 28, 3584, 18_944, 512, 32, 1280, 3420, 14
    ),
    "Qwen/Qwen2.5-VL-32B-Instruct": Architecture(
        33_452_718_336, 487_605_248, 1_557_135_360, 64, 5120, 27_648, 1024, 32, 1280, 3456, 14
    ),
    "Qwen/Qwen3-VL-8B-Instruct": Architecture(
        8_767_123_696, 192_946_432, 1_244_659_712, 36, 4096, 12_288, 1024, 27, 1152, 4304, 16
    ),
}


@dataclass(frozen=True)
class Plan:
    """How a run is laid out; lengths in tokens, rows and rollouts on one GPU."""

    gpus: int
    """Over which FSDP2 or ZeRO-3 divide the training states."""
    card: float
    """Memory of one GPU, GiB."""
    rows: int
    """Of one micro-batch."""
    rollouts: int
    """Of one rollout batch: their images stay on the GPU until all are trained on."""
    prompt: int
    response: int
    max_pixels: int
    mean_pixels: int
    adapters: int = 0
    """Trained parameters of LoRA; 0: all of the model is trained."""
    reference: bool = False
    """A frozen reference model for the KL."""
    sampler: float = 0.0
    """Share of the card that a colocated vLLM takes while it samples; 0: none."""
    sampler_gpus: int = 1
    """Over which vLLM divides its copy of the weights."""
    sleeps: bool = True
    """Whether vLLM gives its memory back while the model is trained."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU."""

    weights: float
    gradients: float
    optimizer: float
    reference: float
    gathered: float
    """Whole layers, copied together from their shards while they are used."""
    activations: float
    images: float
    sampler: float
    reserve: float
    sequences: float
    """Not bytes: responses of full length that vLLM's KV cache holds at once."""
    sleeps: bool

    @property
    def training(self) -> float:
        """The most while gradients are computed."""
        parts = ("weights", "gradients", "optimizer", "reference", "gathered", "activations", "images")
        awake = 0.0 if self.sleeps else self.sampler
        return sum(getattr(self, part) for part in parts) + awake + self.reserve

    @property
    def sampling(self) -> float:
        """The most while rollouts are drawn; the last batch's images are still there."""
        return self.weights + self.optimizer + self.reference + self.images + self.sampler + self.reserve


def memory(model: Architecture, plan: Plan) -> Memory:
    """Bytes on one GPU by the formulas of docs/recipes.md, images and prompts at their largest."""
    trained = plan.adapters or model.parameters
    frozen = model.parameters if plan.adapters else 0
    return Memory(
        weights=(4 * trained + 2 * frozen) / plan.gpus,
        gradients=4 * trained / plan.gpus,
        optimizer=8 * trained / plan.gpus,
        reference=4 * model.parameters / plan.gpus if plan.reference else 0.0,
        gathered=_gathered(model, plan),
        activations=_activations(model, plan),
        images=plan.rollouts * _patches(model, plan.mean_pixels) * 3 * 2 * model.patch**2 * 4,
        sampler=plan.sampler * plan.card * GIB,
        reserve=RESERVE,
        sequences=_sequences(model, plan),
        sleeps=plan.sleeps,
    )


def checkpoint_bytes(model: Architecture, plan: Plan) -> float:
    """A checkpoint on disk: float32 weights of what is trained, and Adam's two states."""
    return 12 * (plan.adapters or model.parameters)


def _gathered(model: Architecture, plan: Plan) -> float:
    """bfloat16 copies: both ends and their gradients, a layer, the next one, and the layer's gradient."""
    if plan.gpus == 1:
        return 0.0 if plan.adapters else 2 * model.parameters  # autocast keeps copies of all weights
    return 2 * (2 * model.end_parameters + 3 * model.layer_parameters)


def _activations(model: Architecture, plan: Plan) -> float:
    """bfloat16, with checkpoints: the input of every layer, and one layer in full while it is run again."""
    tokens = plan.rows * (plan.prompt + plan.response)
    patches = plan.rows * _patches(model, min(plan.max_pixels, plan.prompt * (2 * model.patch) ** 2))
    inputs = tokens * model.layers * model.hidden + patches * model.vision_layers * model.vision_hidden
    text = tokens * (16 * model.hidden + 6 * model.inner)
    vision = patches * (16 * model.vision_hidden + 6 * model.vision_inner)
    return 2 * (inputs + max(text, vision)) + HEAD_TILE


def _patches(model: Architecture, pixels: int) -> float:
    return pixels / model.patch**2


def _sequences(model: Architecture, plan: Plan) -> float:
    """Full-length sequences in the KV cache: keys and values of every layer, bfloat16."""
    if not plan.sampler:
        return 0.0
    weights = 2 * model.parameters / plan.sampler_gpus
    free = plan.sampler * plan.card * GIB - weights - SAMPLER_OVERHEAD
    token = 2 * 2 * model.layers * model.key_values / plan.sampler_gpus
    return max(0.0, free / (token * (plan.prompt + plan.response)))


# --- recipes ---------------------------------------------------------------------------------------


ON_A_CPU = ["--use_cpu", "true", "--bf16", "false", "--use_vllm", "false"]
"""Flags with which a recipe is parsed where there is neither a GPU nor vLLM."""


def plan_of(settings: Any, gpus: int, card: float, uses_vllm: bool) -> Plan:
    """The plan of parsed settings; they must name the longest prompt and the largest picture."""
    args = settings.train
    if args.max_prompt_length is None or args.max_pixels is None:
        raise SystemExit("the settings need max_prompt_length and max_pixels to tell the largest prompt")
    return Plan(
        gpus=gpus,
        card=card,
        rows=args.per_device_train_batch_size,
        rollouts=args.per_device_train_batch_size * args.steps_per_generation,
        prompt=args.max_prompt_length,
        response=args.max_completion_length,
        max_pixels=args.max_pixels,
        mean_pixels=max(min(MEAN_PIXELS, args.max_pixels), args.min_pixels or 0),
        adapters=adapter_parameters(settings.model.lora_r) if settings.model.use_peft else 0,
        reference=args.beta > 0 and not settings.model.use_peft,
        sampler=args.vllm_gpu_memory_utilization if uses_vllm and args.vllm_mode == "colocate" else 0.0,
        sampler_gpus=args.vllm_tensor_parallel_size,
        sleeps=args.vllm_enable_sleep_mode,
    )


def adapter_parameters(rank: int) -> int:
    """LoRA's parameters on Qwen2.5-VL-3B, on every attention and MLP projection the small recipe names."""
    text = 36 * ((2048 + 2048) * 2 + (2048 + 256) * 2 + (2048 + 11_008) * 3)
    vision = 32 * (1280 + 3420) * 3
    return rank * (text + vision)


def read(recipe: Path, flags: list[str], gpus: int | None = None, card: float | None = None) -> tuple:
    """A recipe's settings, model and plan, for the hardware its header names or that is given."""
    import yaml

    from sightline.engines.trl.settings.resolve import parse

    text = recipe.read_text(encoding="utf-8")
    wants = WANTS.search(text)
    if wants is None and (gpus is None or card is None):
        raise SystemExit(f"{recipe} says no hardware in its header; give --gpus and --card")
    gpus = gpus or int(wants[1] if wants else 1)
    card = card or float(wants[2] if wants else 80)
    settings = parse(["--config", str(recipe), *ON_A_CPU, *flags])
    name = settings.model.model_name_or_path
    if name not in ARCHITECTURES:
        raise SystemExit(f"no sizes are known of {name}; known: {', '.join(ARCHITECTURES)}")
    return (
        settings,
        ARCHITECTURES[name],
        plan_of(settings, gpus, card, yaml.safe_load(text).get("use_vllm", False)),
    )


def recipes() -> list[Path]:
    """The recipes that say what they want, smallest model first."""
    found = [path for path in HERE.glob("*.yaml") if WANTS.search(path.read_text(encoding="utf-8"))]
    return sorted(found, key=lambda path: (int(WANTS.search(path.read_text("utf-8"))[1]), path.name))


def wants(recipe: Path) -> str:
    """What a recipe's header says of its memory, from the formulas."""
    _, model, plan = read(recipe, [])
    found = memory(model, plan)
    on_disk = checkpoint_bytes(model, plan) / GIB
    return (
        f"{found.training / GIB:.0f} GiB each in training, {found.sampling / GIB:.0f} in sampling; "
        f"a checkpoint is {on_disk:.0f} GiB"
    )


COLUMNS = (
    ("weights", "weights"),
    ("gradients", "gradients"),
    ("optimizer", "optimizer"),
    ("reference", "reference"),
    ("gathered", "gathered"),
    ("activations", "activations"),
    ("images", "images"),
    ("sampler", "vLLM"),
)


def table() -> str:
    """The table of docs/recipes.md."""
    head = [
        "recipe",
        "GPUs",
        *(title for _, title in COLUMNS),
        "training",
        "sampling",
        "answers at once",
        "checkpoint",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for recipe in recipes():
        _, model, plan = read(recipe, [])
        found = memory(model, plan)
        sizes = [f"{getattr(found, name) / GIB:.1f}" for name, _ in COLUMNS]
        ends = [f"**{size / GIB:.0f}**" for size in (found.training, found.sampling)]
        name, on_disk = f"[{recipe.stem}](../recipes/{recipe.name})", checkpoint_bytes(model, plan) / GIB
        cells = [name, f"{plan.gpus} × {plan.card:.0f}", *sizes, *ends]
        cells += [f"{found.sequences:.0f}", f"{on_disk:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write() -> None:
    """Put the table and the headers' numbers where they belong."""
    before, _, rest = TABLE.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    TABLE.write_text(f"{before}{MARKS[0]}\n{table()}\n{MARKS[1]}{after}", encoding="utf-8")
    for recipe in recipes():
        text = recipe.read_text(encoding="utf-8")
        match = WANTS.search(text)
        recipe.write_text(text[: match.start(4)] + wants(recipe) + text[match.end(4) :], encoding="utf-8")


def main(argv: list[str]) -> None:
    """Print the table, or one recipe's memory part by part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipe", nargs="?", type=Path)
    parser.add_argument("--gpus", type=int)
    parser.add_argument("--card", type=float, help="memory of one GPU, GB")
    parser.add_argument("--write", action="store_true")
    args, flags = parser.parse_known_args(argv)
    if args.write:
        write()
    elif args.recipe is None:
        print(table())
    else:
        _, model, plan = read(args.recipe, flags, args.gpus, args.card)
        found = memory(model, plan)
        for part in [item.name for item in fields(found)[:-2]] + ["training", "sampling"]:
            print(f"{part:<12} {getattr(found, part) / GIB:6.1f} GiB")
        print(f"vLLM holds {found.sequences:.0f} answers of full length at once")


if __name__ == "__main__":
    main(sys.argv[1:])
