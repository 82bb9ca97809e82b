"""Whether settings, model and data fit together: what can be known before a run folder is opened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ...errors import UserError
from ...methods import Method
from ...models.loading import LoadedModel
from ...models.scoring.hidden_states import layer_index
from ...tasks.problem import Problem, Task
from ...tasks.prompt_lengths import outline
from ..freezing import vision_tower
from ..image_placeholders import check_shortened
from .settings.resolve import Settings
from .settings.rewards import rewards_of
from .state.reference_model import is_zero3

_READ_AHEAD = 512
"""Problems of a stream that are read in search of an image; of others all, which costs their headers."""


def check_fit(settings: Settings, loaded: LoadedModel, task: Task, problems: Sequence[Problem]) -> None:
    """Refuse what would fail later, when folders and minutes are spent.

    Raises:
        UserError: too few rows for a rollout batch, or no images for a method that reads them; unknown
            rewards; a layer or modules for adapters that the model does not have; a vision tower to freeze
            where there is none; a family that cannot be sampled beside the trainer; a reference model that
            no checkpoint could hold.
    """
    args: Any = settings.train
    if args.use_vllm and args.vllm_mode == "colocate":
        check_shortened(loaded.processor, loaded.model.config)
    check_reference(args)
    rewards_of(settings)
    check_rows(args, task, problems)
    check_images(settings.method, task, problems)
    layer_index(loaded.model, settings.method.layer)
    check_adapters(settings.model, loaded.model)
    if args.freeze_vision:
        vision_tower(loaded.model)


def check_reference(args: Any) -> None:
    """Refuse a reference model that follows the policy where no rank holds its weights whole.

    Raises:
        UserError: DeepSpeed splits them.
    """
    if args.sync_ref_model and is_zero3(args):
        raise UserError(
            "sync_ref_model cannot be resumed under DeepSpeed ZeRO-3, where no checkpoint would hold the "
            "reference model; use FSDP or ZeRO-2, or leave sync_ref_model out"
        )


def check_rows(args: Any, task: Task, problems: Sequence[Problem]) -> None:
    """Refuse data that does not fill one rollout batch.

    Raises:
        UserError: with both numbers.
    """
    needed = args.generation_batch_size // args.num_generations
    if len(problems) == 0:
        raise UserError(f"task {task.name!r} has no training rows; expected at least {needed}")
    if len(problems) < needed:
        raise UserError(
            f"task {task.name!r} gives {len(problems)} training rows, but one rollout batch takes {needed} "
            f"prompts ({args.generation_batch_size} rollouts / {args.num_generations} per prompt); give more "
            "rows or lower per_device_train_batch_size, gradient_accumulation_steps or generation_batch_size"
        )


def check_images(method: Method, task: Task, problems: Sequence[Problem]) -> None:
    """Refuse data without any image for a method that credits tokens by the image.

    Raises:
        UserError: with the number of problems that were looked at.
    """
    if not method.needs.signals and method.needs.view is None:
        return
    count = min(len(problems), _READ_AHEAD) if getattr(problems, "sequential", False) else len(problems)
    if not any(outline(problems, index)[1] for index in range(count)):
        raise UserError(
            f"none of {count} problems of task {task.name!r} has an image, and {method.name} credits "
            "tokens by the image; name the column of images (columns: {images: ...}), give rows with "
            "images, or train with method grpo or dapo"
        )


def check_adapters(wanted: Any, model: Any) -> None:
    """Refuse adapters of no rank, or on modules that are not there; PEFT passes over some in silence.

    Raises:
        UserError: naming the targets that match nothing, and some that would.
    """
    if not wanted.use_peft:
        return
    if wanted.lora_r < 1:
        raise UserError(f"lora_r must be at least 1, got {wanted.lora_r}")
    targets = wanted.lora_target_modules
    if targets == "all-linear" or (not targets and model.config.model_type in _known_to_peft()):
        return
    names = [name for name, module in model.named_modules() if hasattr(module, "in_features")]
    if isinstance(targets, str):
        missing = [] if any(re.fullmatch(targets, name) for name in names) else [targets]
    else:
        missing = [one for one in targets or () if not any(f".{name}".endswith(f".{one}") for name in names)]
    if targets and not missing:
        return
    common = sorted({name.rpartition(".")[2] for name in names})
    what = f"match nothing: {', '.join(missing)}" if targets else "is not set, and PEFT has no default here"
    raise UserError(
        f"lora_target_modules {what}; {model.config.model_type} has {', '.join(common)}; all-linear takes all"
    )


def _known_to_peft() -> Any:
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    return TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
