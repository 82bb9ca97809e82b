"""Record the golden trainings: 20 optimizer steps per method on stored rollouts of the embedded model.

python tests/golden/make_trainings.py [LABEL ...]

With labels only those are recorded, on the stored responses; the others stay.

Run it again only when a change is meant to alter numbers, and say so in the commit.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from stored_rollouts import sampled_responses, settings, stored_trainer
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from sightline.engines import credit
from sightline.models.loading import load_model

FILE = Path(__file__).with_name("trainings.json")
STEPS = 20
TWO_STEPS = ("--per_device_train_batch_size", "4", "--steps_per_generation", "2")
"""Two optimizer steps per rollout batch: the second is off the sampling policy, so ratios and clips count."""
PLAIN = ("--share_prompts", "false")
"""Every rollout runs its own prompt, as TRL runs it: what is recorded."""
REWARDS = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "grpo": ("grpo", {}),
    "dapo": ("dapo", {}),
    "gspo": ("gspo", {}),
    "dr_grpo": ("dr_grpo", {}),
    "papo": ("papo", {}),
    "papo, both views differentiated": ("papo", {"second_grad": True}),
    "vppo": ("vppo", {}),
    "vppo, patches per rollout": ("vppo", {"view": {"name": "patches", "per": "rollout"}}),
    "pgpo": ("pgpo", {}),
    "vgpo": ("vgpo", {}),
    "vgpo, released": ("vgpo", {"variant": "released"}),
    # NoisyRollout changes what is sampled: on stored responses it is GRPO.
    "pepo": ("pepo", {}),
    "vepo": ("vepo", {}),
    "tor": ("tor", {}),
    "dupl": ("dupl", {}),
    "dvrp": ("dvrp", {}),
    "cfpo": ("cfpo", {}),
}


class Losses(TrainerCallback):
    """Keeps loss and gradient norm of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" in (logs or {}):
            self.losses.append(round(float(logs["loss"]), 8))
            self.norms.append(round(float(logs["grad_norm"]), 7))


def training(
    method: str, options: dict[str, Any], responses: list[list[list[int]]], *more: str
) -> dict[str, Any]:
    """Losses and gradient norms of 20 steps, and the weights: in full for the first step, and the sum and
    maximum of every rollout batch."""
    kept = Losses()
    weights: list[torch.Tensor] = []
    with tempfile.TemporaryDirectory() as folder:
        flags = (
            "--no_shuffle_dataset",
            "--max_steps",
            str(STEPS),
            "--learning_rate",
            "1e-4",
            *TWO_STEPS,
            *more,
        )
        trainer = stored_trainer(settings(Path(folder), method, options, *flags), responses, REWARDS, [kept])
        trainer.remove_callback(PrinterCallback)

        plain = credit.token_weights

        def recorded(*args: Any) -> tuple[torch.Tensor, dict[str, float]]:
            found = plain(*args)
            weights.append(found[0])
            return found

        with patch.object(credit, "token_weights", recorded):
            trainer.train()
    first = [[round(value, 6) for value in row] for row in weights[0].tolist()] if weights else []
    sums = [[round(float(w.sum()), 5), round(float(w.max()), 6)] for w in weights]
    return {"losses": kept.losses, "gradient_norms": kept.norms, "first_weights": first, "weights": sums}


def machine() -> str:
    """What has to be equal for the last digits to be."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line for line in lines if line.startswith("flags")), "")
    known = f"{model} {hashlib.sha256(flags.encode()).hexdigest()[:12]}"
    return f"{platform.machine()} {known} torch {torch.__version__} threads {torch.get_num_threads()}"


if __name__ == "__main__":
    chosen, known = sys.argv[1:] or list(METHODS), json.loads(FILE.read_text())
    if not sys.argv[1:]:
        stored = sampled_responses(load_model("embedded", torch.float32), STEPS // 2, temperature=1.5)
        known = {"machine": machine(), "responses": stored, "trainings": {}}
    known["trainings"] |= {label: training(*METHODS[label], known["responses"], *PLAIN) for label in chosen}
    FILE.write_text(json.dumps(known) + "\n")
