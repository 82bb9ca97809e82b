"""Values that no verl run can have, named before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import torch
from packaging.version import Version

from ....distribution import install
from ....errors import UserError
from ....methods import Method
from ....views import Counterfactual, PixelView, Swapped
from ...reward_settings import accuracy_column, reward_weights
from ...value_ranges import check_bounds
from .config import VerlConfig
from .objective import AGGREGATIONS

VERSIONS = ("0.9.1", "0.10")
"""The verl this engine is written for: from the first, below the second."""
SAMPLERS = ("vllm", "sglang")
TRACKERS = ("wandb", "mlflow", "swanlab", "tensorboard", "clearml", "trackio")
_LEAST = {
    "n_gpus_per_node": 1, "nnodes": 1, "num_generations": 2, "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1, "warmup_steps": 0, "vllm_tensor_parallel_size": 1,
    "generation_batch_size": 2, "lora_r": 1, "lora_alpha": 1,
}  # fmt: skip
"""The least that a number of this engine's own may be."""
_CHOICES: dict[str, Sequence[str]] = {
    "lr_scheduler_type": ("constant", "constant_with_warmup", "cosine"),
    "importance_sampling_level": ("token", "sequence"),
    "loss_type": tuple(AGGREGATIONS),
    "scale_rewards": ("group", "none"),
    "save_strategy": ("steps", "no"),
    "sampler": SAMPLERS,
    "report_to": ("none", *TRACKERS),
}


def check_libraries() -> None:
    """Refuse a missing verl, another version, and a trl beside it, which verl's workers fail on.

    Raises:
        UserError: with what to install or remove.
    """
    how = f"{install('verl')} into an environment without trl"
    if find_spec("verl") is None:
        raise UserError(f"the verl engine needs verl, which is not installed; {how}")
    found, (low, high) = version("verl"), VERSIONS
    if not Version(low) <= Version(found) < Version(high):
        raise UserError(f"verl {found} is installed; this engine is written for verl >= {low}, < {high}")
    try:
        beside = version("trl")
    except PackageNotFoundError:
        return
    if Version(beside) >= Version("1.0"):
        raise UserError(
            f"trl {beside} is installed, beside which verl {found} cannot start its workers; "
            "pip uninstall trl, or use another environment"
        )


def check_settings(train: VerlConfig, method: Method) -> None:
    """Refuse values outside their range, batches that do not divide, and what the engine cannot do.

    Raises:
        UserError: with the setting, what came and what was expected.
    """
    check_bounds(train, _LEAST, _CHOICES)
    if train.model is None:
        raise UserError("expected a model (`model: embedded`, a folder or a hub id), got none")
    check_batches(train)
    _check_method(train, method)
    _check_machine(train)
    _check_tracker(train.report_to)


def check_batches(train: VerlConfig) -> None:
    """Refuse sizes with which batches would not hold whole groups or divide over ranks.

    Raises:
        UserError: with the sizes that came and the nearest that fit.
    """
    group, step = train.num_generations, train.step_rollouts
    sizes = (f"per_device_train_batch_size {train.per_device_train_batch_size} x {train.ranks} ranks x "
             f"gradient_accumulation_steps {train.gradient_accumulation_steps}")  # fmt: skip
    if step % group:
        raise UserError(
            f"{step} rollouts an optimizer step ({sizes}) do not hold whole groups of num_generations "
            f"{group}; make it a multiple of {group}"
        )
    if train.batch_rollouts % step:
        below = max(train.batch_rollouts // step, 1) * step
        raise UserError(
            f"generation_batch_size {train.batch_rollouts} is not a multiple of the {step} rollouts that an "
            f"optimizer step takes ({sizes}); nearest that are: {below} or {below + step}"
        )
    updates = train.updates
    for name in ("max_steps", "save_steps", "warmup_steps"):
        value = getattr(train, name)
        if value > 0 and value % updates and not (name == "save_steps" and train.save_strategy == "no"):
            nearest = max(value // updates, 1) * updates
            raise UserError(
                f"{name} {value} does not end with a rollout batch, which feeds {updates} optimizer steps; "
                f"nearest that do: {nearest} or {nearest + updates}"
            )


def _check_method(train: VerlConfig, method: Method) -> None:
    if method.needs.second_view_gradient and isinstance(method.view, Swapped):
        raise UserError("a swapped view draws partners from the whole batch, which no micro-batch holds; "
                        "leave second_grad out or choose another view")  # fmt: skip
    if method.needs.second_view_gradient and not isinstance(method.view, PixelView) and not train.use_cpu:
        raise UserError(
            "a view that hides image tokens cannot be differentiated over verl's packed rows; "
            "leave second_grad out or choose a view of pixels"
        )
    beyond = {
        "rollouts from another view": method.rollouts is not None,
        "several second views": bool(method.views),
        "the counterfactual view": isinstance(method.view, Counterfactual),
        f"a rule that reads {', '.join(sorted(method.reads))}": bool(method.reads),
    }
    if asked := [what for what, wanted in beyond.items() if wanted]:
        raise UserError(
            f"{method.name} asks for {asked[0]}, which the verl engine cannot do yet; train it with trl"
        )
    if method.objective.overlong is not None and method.objective.overlong > train.max_completion_length:
        raise UserError(
            f"objective: overlong must lie between 1 and max_completion_length "
            f"{train.max_completion_length}, got {method.objective.overlong}"
        )
    names = list(reward_weights(train.rewards, train.reward_weights))
    if "pair" in names:
        raise UserError(
            "rewards: pair compares responses of one batch, and verl judges each alone; train it with trl"
        )
    groups = method.objective.informative_groups
    if groups is not None and groups.key == "accuracy" and train.max_rounds > 1:
        accuracy_column(names)


def _check_machine(train: VerlConfig) -> None:
    if train.nnodes > 1 and train.ray_address is None:
        raise UserError(
            f"nnodes {train.nnodes} needs a Ray cluster of as many nodes; `ray start` it on each and set "
            "ray_address: auto"
        )
    if train.use_cpu:
        if train.bf16:
            raise UserError("use_cpu computes in float32; set bf16: false")
        return
    if not torch.cuda.is_available() and train.ray_address is None:
        raise UserError(
            "no GPU was found; to train a small model on the CPU set use_cpu: true and bf16: false, else "
            "check that nvidia-smi lists one, or join a cluster by ray_address: auto"
        )
    if find_spec(train.sampler) is None and train.ray_address is None:
        raise UserError(f"sampler {train.sampler} is not installed; pip install 'verl[{train.sampler}]'")


def _check_tracker(name: Any) -> None:
    if name not in (None, "none") and find_spec(str(name)) is None:
        raise UserError(
            f"report_to names {name}, which is not installed; pip install {name}, or leave it out: "
            "metrics.jsonl is always written"
        )
