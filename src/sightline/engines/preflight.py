"""Whether data and model fit what a run asks for: known before a run folder is opened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import UserError
from ..methods import Method
from ..tasks.problem import Problem, Task
from ..tasks.prompt_length_filter import outline

_READ_AHEAD = 512
"""Problems of a stream that are read in search of an image; of others all, which costs their headers."""


class BatchSettings(Protocol):
    """The sizes of a rollout batch."""

    generation_batch_size: Any
    """Rollouts of a batch, over all ranks."""
    num_generations: Any
    """Rollouts of one prompt."""


def check_rows(settings: BatchSettings, task: Task, problems: Sequence[Problem]) -> None:
    """Refuse data that does not fill one rollout batch.

    Raises:
        UserError: with both numbers.
    """
    needed = settings.generation_batch_size // settings.num_generations
    if len(problems) == 0:
        raise UserError(f"task {task.name!r} has no training rows; expected at least {needed}")
    if len(problems) < needed:
        raise UserError(
            f"task {task.name!r} gives {len(problems)} training rows, but one rollout batch takes {needed} "
            f"prompts ({settings.generation_batch_size} rollouts / {settings.num_generations} per prompt); "
            "give more rows or lower per_device_train_batch_size, gradient_accumulation_steps or "
            "generation_batch_size"
        )


def check_images(method: Method, task: Task, problems: Sequence[Problem]) -> None:
    """Refuse data without any image for a method that credits tokens by the image.

    Raises:
        UserError: with the number of problems that were looked at.
    """
    if not method.needs.signals and not method.needs.views:
        return
    count = _looked_at(problems)
    if not any(outline(problems, index)[1] for index in range(count)):
        raise UserError(
            f"none of {count} problems of task {task.name!r} has an image, and {method.name} credits "
            "tokens by the image; name the column of images (columns: {images: ...}), give rows with "
            "images, or train with method grpo or dapo"
        )


def shows_several(problems: Sequence[Problem]) -> bool:
    """Whether a problem shows more than one image, as far as is looked."""
    return any(len(outline(problems, index)[1]) > 1 for index in range(_looked_at(problems)))


def _looked_at(problems: Sequence[Problem]) -> int:
    sequential = getattr(problems, "sequential", False)
    return min(len(problems), _READ_AHEAD) if sequential else len(problems)


class AdapterSettings(Protocol):
    """What PEFT is asked for."""

    use_peft: bool
    lora_r: int
    lora_target_modules: Any


def check_adapters(wanted: AdapterSettings, model: Any) -> None:
    """Refuse adapters of rank 0, or on modules that are not there; PEFT ignores some silently.

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
