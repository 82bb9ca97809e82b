"""Every setting of a training run: TRL's `GRPOConfig` under its own names, and a handful of ours."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from trl.trainer.grpo_config import GRPOConfig

from ...run_settings import (
    DataSettings,
    FolderSettings,
    PolicySettings,
    RewardSettings,
    WarningSettings,
    read_plain_data,
)
from ...value_ranges import check_bounds
from .batch_sizes import check_batches
from .hardware import check_machine, check_trackers, connect_cpus
from .refused import check_generation_kwargs, check_honoured
from .validation import forget_trl_evaluation, read_validation
from .value_ranges import CHOICES, LEAST
from .vllm_settings import check_vllm_settings


@dataclass
class PassSettings:
    """How the policy and its rollouts are gone through."""

    share_prompts: bool = field(
        default=True,
        metadata={
            "help": "Train each prompt once for all its rollouts in a micro-batch; the same numbers, faster."
        },
    )
    shuffle_by: str | None = field(
        default=None,
        metadata={
            "help": "What is shuffled over optimizer steps: each `prompt` with its rollouts (default where"
            " prompts are shared) or each `rollout` alone (default otherwise)."
        },
    )


@dataclass
class LabelSettings:
    """Which tokens may get credit, in an arm of a study."""

    credit: str | None = field(
        default=None,
        metadata={
            "help": "On an embedded world: only tokens of this class get an advantage, by its labels: "
            "read, derived, template."
        },
    )


@dataclass
class TrainConfig(
    WarningSettings,  # as dataclasses count: the last of the bases first
    FolderSettings,
    RewardSettings,
    LabelSettings,
    DataSettings,
    PassSettings,
    PolicySettings,
    GRPOConfig,
):
    """`GRPOConfig` plus what Sightline adds. TRL's names, meanings and defaults are untouched, but for
    `logging_steps` (1: metrics.jsonl holds every step)."""

    logging_steps: float = field(default=1, metadata={"help": "Steps between two lines of metrics.jsonl."})

    def __post_init__(self) -> None:
        check_machine(self)
        check_honoured(self)
        check_bounds(self, LEAST, CHOICES)
        check_batches(self)
        read_validation(self)
        connect_cpus(self)
        super().__post_init__()
        forget_trl_evaluation(self)
        check_generation_kwargs(self)
        check_vllm_settings(self)
        read_plain_data(self)
        check_trackers(self.report_to)


OURS = {item.name for item in dataclasses.fields(TrainConfig)} - {
    item.name for item in dataclasses.fields(GRPOConfig)
} | {"logging_steps"}
"""The settings that are Sightline's, not TRL's."""
