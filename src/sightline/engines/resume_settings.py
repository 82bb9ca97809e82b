"""Whether a run may be resumed with the settings given now."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from ..errors import UserError

_OWN = (
    "resume", "force", "overwrite", "json", "output_dir", "set_by", "git_revision", "versions",
    "verl", "ray_address",
    "local_rank", "logging_dir", "run_name", "resume_from_checkpoint", "overwrite_output_dir",
    "disable_tqdm",
)  # fmt: skip
"""Belong to one start of the run, not to the run."""

_HARMLESS = (
    "logging_*", "log_*", "save_*", "report_*", "hub_*", "push_to_hub", "trackio_*",
    "project", "dataloader_*", "ddp_timeout", "torch_empty_cache_steps", "warn_*", "blind_every",
    "max_skipped_steps", "wait_for_disk", "spare_dir",
    "num_completions_to_print", "vllm_server_*", "vllm_gpu_memory_utilization",
    "vllm_enable_sleep_mode", "include_*", "skip_memory_metrics", "debug",
)  # fmt: skip
"""Change nothing that is trained or measured."""

_DIVISION = ("per_device_train_batch_size", "gradient_accumulation_steps", "steps_per_generation")
"""How a rollout batch is divided over processes and passes, whose products say what is trained."""
LENGTH = ("max_steps", "num_train_epochs")
"""How long a run is."""
_CONSTANT = ("constant", "constant_with_warmup")


def check_resumed(before: Mapping[str, Any], now: Mapping[str, Any], force: bool) -> list[str]:
    """The settings that differ from those the run began with, one line each; empty if none.

    Raises:
        UserError: some differ and `force` is not given, or some change what is trained.
    """
    differ = {
        name: (before[name], now[name])
        for name in sorted(before.keys() & now.keys())
        if name not in _OWN and before[name] != now[name]
    }
    lines = [f"{name} {old!r} -> {new!r}" for name, (old, new) in differ.items()]
    serious = [name for name in differ if not _is_harmless(name, before, now)]
    if serious:
        listed = "; ".join(line for name, line in zip(differ, lines, strict=True) if name in serious)
        raise UserError(
            f"the run was started with other settings that change what is trained or measured: {listed}. "
            "Resume with the settings of its config.yaml, or start another --output_dir"
        )
    if lines and not force:
        raise UserError(
            f"the run was started with other settings: {'; '.join(lines)}. "
            "They change nothing that is trained; give --force to continue with the new ones"
        )
    return lines


def _is_harmless(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    if name in _DIVISION:  # as many rollouts a batch, trained on in as many steps: other processes, same run
        return _batches(before) == _batches(now)
    if name in LENGTH:  # a longer run is the same run, unless the learning rate counts down to its end
        return now.get("lr_scheduler_type") in _CONSTANT
    return any(fnmatchcase(name, pattern) for pattern in _HARMLESS)


def _batches(settings: Mapping[str, Any]) -> tuple[Any, Any]:
    """Rollouts of a batch, and its share that one optimizer step takes."""
    steps, size = settings.get("gradient_accumulation_steps"), settings.get("steps_per_generation")
    return settings.get("generation_batch_size"), steps / size if steps and size else None
