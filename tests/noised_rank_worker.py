"""One rank of a first training step whose rollouts are partly sampled from noised images.

`python noised_rank_worker.py FOLDER` writes FOLDER/RANK.json: for every row that was sampled, whether it was
to be noised, its image and the one it was sampled from; and what was logged. Groups without contrast are
replaced by other prompts.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from rank_worker import GROUP, PROBLEMS, REWARDS, ROWS, settings

from sightline.engines.trl.data.dataset import training_rows
from sightline.engines.trl.trainer import noised_rollouts
from sightline.engines.trl.trainer.trainer import TokenCreditTrainer
from sightline.models.loading import load_model
from sightline.tasks import ShapesTask

ROLLOUTS = {"view": {"name": "diffusion", "step": 900}, "share": 0.5, "anneal": None}


def digest(images: Any) -> str:
    return hashlib.sha256(images[0].tobytes()).hexdigest()


def first_step(folder: Path, ranks: int) -> dict[str, Any]:
    sampled: list[tuple[bool, str, str]] = []
    original = noised_rollouts.sampled_images

    def recorded(view: Any, images: Any, noised: Any, *args: Any, **named: Any) -> Any:
        found = original(view, images, noised, *args, **named)
        sampled.extend(zip(noised, map(digest, images), map(digest, found), strict=True))
        return found

    noised_rollouts.sampled_images = recorded
    options = {"rollouts": ROLLOUTS, "objective": "dapo"}
    size = ("--per_device_train_batch_size", str(ROWS // ranks), "--max_rounds", "3")
    run = settings(folder / "run", "noisyrollout", options, *size)
    task = ShapesTask()
    problems = task.train(PROBLEMS, 3)
    numbers = {problem.id: index for index, problem in enumerate(problems)}

    def accuracy(completions: list[Any], id: list[str], **_: Any) -> list[float]:
        start = trainer.accelerator.process_index * len(id)
        return [REWARDS[numbers[one]][(start + place) % GROUP] for place, one in enumerate(id)]

    loaded = load_model("embedded", torch.float32)
    trainer = TokenCreditTrainer(
        method=run.method,
        args=run.train,
        model=loaded.model,
        processing_class=loaded.processor,
        reward_funcs=[accuracy],
        train_dataset=training_rows(task, problems),
    )
    trainer.train()
    logged = {name: value for line in trainer.state.log_history for name, value in line.items()}
    weights = torch.cat([p.detach().flatten() for p in loaded.model.parameters()])
    return {"sampled": sampled, "logged": logged, "weights": weights.double().abs().sum().item()}


if __name__ == "__main__":
    import torch.distributed as dist

    target = Path(sys.argv[1])
    found = first_step(target, int(os.environ["WORLD_SIZE"]))
    (target / f"{os.environ['RANK']}.json").write_text(json.dumps(found))
    if dist.is_initialized():
        dist.barrier()
    os._exit(0)  # threads of gloo may outlive the interpreter, which then aborts
