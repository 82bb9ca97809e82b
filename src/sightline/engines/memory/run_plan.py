"""A run before it is started: how its batches divide, and how it lies on its GPUs."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ...errors import UserError
from .architectures import Architecture, adapter_parameters
from .formulas import MEAN_PIXELS, Layout

ON_A_CPU = ("--use_cpu", "true", "--bf16", "false", "--report_to", "none")
"""Flags with which settings are read where there is neither a GPU nor a tracker."""


@dataclass(frozen=True)
class Batches:
    """Sizes of the whole run, over all its GPUs."""

    rollouts: int
    """Of one rollout batch."""
    group: int
    """Of one prompt."""
    rows: int
    """Of one micro-batch of one GPU."""
    micro_batches: int
    """Of one GPU, for one rollout batch."""
    updates: int
    """Optimizer steps that a rollout batch feeds."""
    max_steps: int | None
    """Optimizer steps of the run; None if epochs count."""

    @property
    def prompts(self) -> int:
        """Of one rollout batch."""
        return self.rollouts // self.group

    def lines(self, gpus: int) -> list[str]:
        """The arithmetic in words."""
        where = "1 GPU" if gpus == 1 else f"{gpus} GPUs"
        steps = "1 optimizer step" if self.updates == 1 else f"{self.updates} optimizer steps"
        lines = [
            f"{self.prompts:,} prompts x {self.group} = {self.rollouts:,} rollouts a batch = {where} x "
            f"{self.rows} rows x {self.micro_batches} micro-batches, trained on in {steps}"
        ]
        if self.max_steps is not None:
            batches = self.max_steps / self.updates
            lines.append(
                f"max_steps {self.max_steps:,} = {batches:,.4g} rollout batches = "
                f"{round(batches * self.prompts):,} prompts, {round(batches * self.rollouts):,} answers"
            )
        return lines


@dataclass(frozen=True)
class RunPlan:
    """What is known of a run from its settings."""

    engine: str
    model: str
    layout: Layout
    batches: Batches


@dataclass(frozen=True)
class Bounds:
    """The longest texts, in tokens, and the sizes of images."""

    prompt: int
    response: int
    max_pixels: int
    mean_pixels: int


def image_bounds(train: Any) -> Bounds:
    """What the settings let in at most.

    Raises:
        UserError: nothing bounds the prompt, so nothing bounds the memory.
    """
    missing = [name for name in ("max_prompt_length", "max_pixels") if getattr(train, name) is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} must be set, or nothing bounds a prompt and the memory that it takes; "
            "such as max_prompt_length: 2048 and max_pixels: 1003520 (a thousand tokens of Qwen2.5-VL)"
        )
    return Bounds(
        prompt=train.max_prompt_length,
        response=int(train.max_completion_length or 256),
        max_pixels=train.max_pixels,
        mean_pixels=max(min(MEAN_PIXELS, train.max_pixels), train.min_pixels or 0),
    )


def adapters_of(model: Architecture, rank: int, targets: Collection[str] | str | None, vision: bool) -> int:
    """The trained parameters of LoRA on projections that are named, or whose paths a pattern matches."""
    attention, mlp = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")
    if targets in ("all-linear", ["all-linear"]):
        return adapter_parameters(model, rank, {*attention, *mlp}, vision)
    if not isinstance(targets, str):
        return adapter_parameters(model, rank, set(targets or ("q_proj", "v_proj")), vision)
    paths = {name: f"model.language_model.layers.0.self_attn.{name}" for name in attention}
    paths |= {name: f"model.language_model.layers.0.mlp.{name}" for name in mlp}
    named = {name for name, place in paths.items() if re.fullmatch(targets, place)}
    in_tower = any(re.fullmatch(targets, f"model.visual.blocks.0.mlp.{name}") for name in mlp)
    return adapter_parameters(model, rank, named, vision and in_tower)
