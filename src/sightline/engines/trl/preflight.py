"""Checks that settings, model and data fit together, before a run folder is opened."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...models.loading import LoadedModel
from ...models.scoring.hidden_states import layer_index
from ...models.vllm_prompts import check_same_policy
from ...tasks.problem import Problem, Task
from ..disk_space import check_space
from ..freezing import vision_tower
from ..image_placeholders import check_server_prompts
from ..preflight import check_adapters, check_images, check_rows, shows_several
from .settings.refused import check_router
from .settings.resolve import Settings
from .settings.rewards import rewards_of
from .state.reference_model import is_zero3

log = logging.getLogger(__name__)


def check_fit(settings: Settings, loaded: LoadedModel, task: Task, problems: Sequence[Problem]) -> None:
    """Refuse what would fail later, when folders and minutes are spent.

    Raises:
        UserError: too few rows for a rollout batch, or no images for a method that reads them; unknown
            rewards; a layer or modules for adapters that the model does not have; a vision tower to freeze
            where there is none; a family or config that vLLM would sample otherwise; a reference model that
            no checkpoint could hold.
    """
    args: Any = settings.train
    if args.use_vllm:
        check_same_policy(loaded.model.config, "use_vllm: false")
    if args.use_vllm and args.vllm_mode == "server":
        check_server_prompts(loaded.processor, loaded.model.config, shows_several(problems))
    check_reference(args)
    check_router(args, loaded.model.config)
    rewards_of(settings)
    check_rows(args, task, problems)
    check_images(settings.method, task, problems)
    layer_index(loaded.model, settings.method.layer)
    check_adapters(settings.model, loaded.model)
    if args.freeze_vision:
        vision_tower(loaded.model)
    strategy = getattr(args.save_strategy, "value", args.save_strategy)
    note = check_space(Path(str(args.output_dir)), loaded.model, strategy != "no", args.save_total_limit)
    if note is not None:
        log.warning("%s", note)


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
