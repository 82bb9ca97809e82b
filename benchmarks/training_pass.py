"""The training pass, forward and backward, each prompt once: against stock TRL, and `share_prompts: false`.

python benchmarks/training_pass.py [--smallest] [--rounds 3] [--only P=1300]
                                   [--device cuda --shape 3b --dtype bfloat16]

One prompt with one image and G responses of T tokens through a Qwen2.5-VL of random weights and TRL's
fused head, with a random gradient for every log-prob. "stock" is what TRL's trainer runs: every row whole,
every row's image through the tower. `share_prompts: false` encodes the image once. Memory is how far one
pass rises above the weights and their gradients. The long responses, of which stock TRL's rows take as much
as those of `share_prompts: false`, are measured against these alone.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from measuring import Meter, Row, arguments, report
from measuring.models import SHAPES, model, processor, rollouts
from trl.trainer.utils import add_fused_lm_head

from sightline.engines.trl.trainer.image_sharing import with_shared_images
from sightline.engines.trl.trainer.prompt_sharing import PromptSharing
from sightline.models.families import process_prompts, type_ids


@dataclass(frozen=True)
class Size:
    """A micro-batch of one prompt."""

    prompt: int
    response: int
    group: int
    grid: tuple[int, int]
    """Image tokens of the prompt, in rows and columns."""

    def __str__(self) -> str:
        return f"P={self.prompt}, T={self.response}, G={self.group}"


SHORT, USUAL = Size(600, 128, 8, (18, 25)), Size(1300, 256, 8, (30, 32))
LONG = Size(600, 4096, 2, (18, 25))
SMALLEST = Size(60, 16, 3, (4, 5))
ON_GPU = Size(1300, 512, 8, (30, 32))
Side = Callable[[], None]


class Sides:
    """One pass over one micro-batch, in three ways."""

    def __init__(self, made: Any, shape: Any, size: Size, device: str):
        rows = rollouts(shape, size.grid, size.prompt, size.response, size.group, device)
        vision, _ = process_prompts(processor(), rows.images)
        ids = torch.cat([rows.prompt_ids, rows.response_ids], 1)
        labels = ids.clone()
        labels[:, : size.prompt] = -100
        vision = {name: value.to(device) for name, value in vision.items()}
        vision["pixel_values"] = vision["pixel_values"].to(made.dtype)
        mask = torch.ones_like(ids)
        self.inputs = {"input_ids": ids, "attention_mask": mask, **type_ids(made, ids), **vision}
        self.labels, self.length, self.model = labels, size.response, made
        self.counts = {"num_images": [1] * size.group}
        random = torch.Generator(device).manual_seed(1)
        self.gradient = torch.randn(size.group, size.response, generator=random, device=device)
        self.packed = PromptSharing([made], None).rows(made, made, self._whole, self.length, self.counts)

    def _whole(self, **inputs: Any) -> Any:
        raise RuntimeError("the rows were not packed")

    def stock(self) -> None:
        """Whole rows."""
        self._learn(self.model, self.inputs)

    def images_once(self) -> None:
        """`share_prompts: false`."""
        self._learn(self.model, with_shared_images(self.model, self.inputs, self.counts))

    def ours(self) -> None:
        """Packed."""
        self._learn(self.packed, self.inputs)

    def _learn(self, forward: Any, inputs: dict[str, Any]) -> None:
        self.model.zero_grad(set_to_none=False)
        output = forward(**inputs, labels=self.labels, fused_lm_head=True)
        (output.log_probs[:, -self.length :] * self.gradient).sum().backward()


def gradient(sides: Sides, side: Side) -> torch.Tensor:
    """Of all parameters after one pass."""
    side()
    return torch.cat([p.grad.flatten().float() for p in sides.model.parameters() if p.grad is not None])


def check_same(sides: Sides, other: Side) -> None:
    """Both gradients agree, as far as the precision goes."""
    wanted, found = gradient(sides, other), gradient(sides, sides.ours)
    near = 1e-4 if sides.model.dtype == torch.float32 else 0.1
    distance = ((found - wanted).norm() / wanted.norm()).item()
    if distance > near:
        raise RuntimeError(f"the gradients differ by {distance:.1e}")


@contextlib.contextmanager
def freed_at_once() -> Iterator[None]:
    """Tensors of a megabyte and more leave a CPU's memory when they are freed, which they would not in a heap
    that earlier passes have cut up."""
    threshold, mallopt = -3, getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(threshold, 1 << 20)
    yield
    if mallopt is not None:
        mallopt(threshold, 32 << 20)


def memory(meter: Meter, sides: Sides, against: dict[str, Side], name: str) -> list[Row]:
    """What one pass takes, ours and the others."""
    with freed_at_once():
        ours = meter.spent(sides.ours)[1]
        taken = {other: meter.spent(side)[1] for other, side in against.items()}
    return [
        Row(f"memory against {other}, {name}", ours, plain, ours / plain, "MB")
        for other, plain in taken.items()
    ]


def measured(meter: Meter, sides: Sides, size: Size, rounds: int) -> list[Row]:
    """The rows of one size; its first call of each side, which checks that they agree, is not timed."""
    against = {"stock TRL": sides.stock, "share_prompts: false": sides.images_once}
    if size == LONG:
        del against["stock TRL"]
    check_same(sides, next(iter(against.values())))
    rows = [
        meter.in_turns(f"time against {name}, {size}", sides.ours, other, rounds, warm=True)
        for name, other in against.items()
    ]
    if size == SHORT:
        return rows
    rows += memory(meter, sides, against, str(size))
    if size != LONG:
        sides.model.gradient_checkpointing_enable({"use_reentrant": False})
        rows += memory(meter, sides, against, f"{size}, checkpointing")
        sides.model.gradient_checkpointing_disable()
    return rows


def main() -> None:
    parser = arguments(__doc__, devices=True)
    parser.set_defaults(shape="20m", dtype="float32")
    parser.add_argument("--only", default="", help="sizes whose name begins so")
    args = parser.parse_args()
    torch.set_num_threads(1)
    meter, shape = Meter(args.device), SHAPES[args.shape]
    made = model(shape, args.device, args.dtype).train()
    add_fused_lm_head(made)
    sizes = [SMALLEST] if args.smallest else [ON_GPU] if meter.cuda else [SHORT, USUAL, LONG]
    rows: list[Row] = []
    for size in (size for size in sizes if str(size).startswith(args.only)):
        rows += measured(meter, Sides(made, shape, size, args.device), size, args.rounds)
    title = f"Forward and backward, {args.shape}, {args.dtype}"
    report(args.out / "training_pass.json", rows, title, args.device)


if __name__ == "__main__":
    main()
