"""One rank of a first training step on stored rollouts, started by `several_ranks.run`.

`python rank_worker.py FOLDER CASES`: CASES is JSON, {name: [method, options, problems without image]}. A rank
alone runs every rollout whole, several share prompts.
Rank 0 writes FOLDER/NAME.safetensors with the weighted advantages of all rows and the whole gradient.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType, gather_object
from mixed_rows import SomeWithoutImages
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from sightline.engines.trl.data.dataset import training_rows
from sightline.engines.trl.settings.resolve import Settings, parse
from sightline.engines.trl.trainer.trainer import TokenCreditTrainer
from sightline.models.generation.generate import Decoding, Prompt, generate
from sightline.models.loading import LoadedModel, load_model
from sightline.tasks import ShapesTask

PROMPTS, GROUP, PROBLEMS = 3, 4, 4
ROWS = PROMPTS * GROUP
REWARDS = [
    [1.0, 0.0, 0.0, 1.0],
    [1.0, 1.0, 1.0, 1.0],  # lies on two ranks, and makes room for the last one
    [0.0, 0.0, 1.0, 0.0],
    [0.0, 1.0, 1.0, 1.0],
]


class Stored(TokenCreditTrainer):
    """Plays responses back, and remembers the weighted advantages of this rank's rows."""

    responses: list[list[int]]
    played = 0

    def _generate_single_turn(self, prompt_ids: Any, *_: Any, **__: Any) -> Any:
        size = len(prompt_ids)
        start = self.played + self.accelerator.process_index * size
        self.played += self.accelerator.num_processes * size
        return self.responses[start : start + size], None

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        out = super()._generate_and_score_completions(inputs)
        self.weighted = out["advantages"]
        return out


class Gradient(TrainerCallback):
    """The whole gradient of the first step, and how much of the model this rank holds."""

    found: dict[str, torch.Tensor]
    local_share = 1.0

    def on_pre_optimizer_step(self, *_: Any, model: Any = None, **__: Any) -> None:
        parameters = dict(model.named_parameters())
        held = sum(_local(p).numel() for p in parameters.values())
        self.local_share = held / sum(p.numel() for p in parameters.values())
        self.found = {n: _whole(p.grad) for n, p in parameters.items() if p.grad is not None}


def _whole(tensor: Any) -> torch.Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().clone()


def _local(tensor: Any) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def settings(folder: Path, method: str, options: dict[str, Any], *flags: str) -> Settings:
    """Settings of one step whose gradient is not clipped."""
    return parse(
        [
            *("--model", "embedded", "--method", method, "--method_options", json.dumps(options)),
            *("--output_dir", str(folder), "--use_cpu", "--bf16", "false", "--seed", "3"),
            *("--num_generations", str(GROUP), "--max_completion_length", "40", "--max_steps", "1"),
            *("--no_gradient_checkpointing", "--save_strategy", "no", "--disable_tqdm", "true"),
            *("--max_grad_norm", "1e9", "--no_shuffle_dataset", "--blind_every", "0", *flags),
        ]
    )


def responses(loaded: LoadedModel) -> list[list[int]]:
    """The sampled answers that are played back, by prompt."""
    task = ShapesTask()
    prompts = [Prompt(task.messages(p), p.images) for p in task.train(PROBLEMS, 3) for _ in range(GROUP)]
    decoding = Decoding(max_new_tokens=40, temperature=1.0, seed=5)
    return [answer.token_ids for answer in generate(loaded.model, loaded.processor, prompts, decoding)]


def first_step(
    folder: Path, name: str, method: str, options: dict[str, Any], without: list[int], ranks: int
) -> None:
    """One optimizer step of one method."""
    size = str(ROWS // ranks)
    whole = ("--share_prompts", "false") if ranks == 1 else ()
    run = settings(folder / name, method, options, "--per_device_train_batch_size", size, *whole)
    loaded = load_model("embedded", torch.float32)
    task = SomeWithoutImages(without)
    problems = task.train(PROBLEMS, 3)
    numbers = {problem.id: index for index, problem in enumerate(problems)}
    gradient = Gradient()

    def accuracy(completions: list[Any], id: list[str], **_: Any) -> list[float]:
        start = trainer.accelerator.process_index * len(id)
        return [REWARDS[numbers[one]][(start + place) % GROUP] for place, one in enumerate(id)]

    trainer = Stored(
        method=run.method,
        args=run.train,
        model=loaded.model,
        processing_class=loaded.processor,
        reward_funcs=[accuracy],
        train_dataset=training_rows(task, problems),
        callbacks=[gradient],
    )
    assert trainer.sharing.on == (ranks > 1)
    trainer.responses = responses(loaded)
    trainer.train()
    weighted = trainer.accelerator.pad_across_processes(
        trainer.weighted, dim=min(1, trainer.weighted.dim() - 1)
    )
    everyone = trainer.accelerator.gather(weighted)
    shares = gather_object([gradient.local_share])
    if trainer.accelerator.is_main_process:
        tensors = {f"gradient.{n}": value.contiguous() for n, value in gradient.found.items()}
        tensors |= {"weighted": everyone.contiguous(), "shares": torch.tensor(shares)}  # pyright: ignore
        save_file(tensors, folder / f"{name}.safetensors")


def shard_without_gpus() -> None:
    """accelerate shards on GPUs only and falls back to DDP without a word; gloo can do it on the CPU."""
    original = AcceleratorState.__init__

    def sharding(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        original(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = sharding


if __name__ == "__main__":
    import torch.distributed as dist

    if os.environ.get("ACCELERATE_USE_FSDP"):
        shard_without_gpus()
    target, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
    for case, (chosen, given, hidden) in cases.items():
        first_step(target, case, chosen, given, hidden, int(os.environ["WORLD_SIZE"]))
    if dist.is_initialized():
        dist.barrier()
    os._exit(0)  # threads of gloo may outlive the interpreter, which then aborts
