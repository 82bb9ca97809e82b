"""Settings of the other engine that have no counterpart here, and what to give verl behind `--`."""

from __future__ import annotations

from ....errors import UserError

_ACTOR, _ROLLOUT, _MODEL = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.model"
_VERL = {
    "adam_epsilon": f"+{_ACTOR}.optim.override_optimizer_config.eps",
    "dataloader_num_workers": "data.dataloader_num_workers",
    "eval_steps": "trainer.test_freq",
    "eval_strategy": "trainer.test_freq",
    "fsdp": f"{_ACTOR}.fsdp_config",
    "fsdp_config": f"{_ACTOR}.fsdp_config",
    "deepspeed": f"{_ACTOR}.fsdp_config (verl shards by FSDP2)",
    "logging_steps": "trainer.logger",
    "min_p": f"{_ROLLOUT}.val_kwargs",
    "optim": f"{_ACTOR}.optim.optimizer",
    "project": "trainer.project_name",
    "steps_per_generation": "data.train_batch_size (or generation_batch_size here)",
    "sync_ref_model": "trainer.ref_update_freq",
    "use_liger_kernel": f"{_MODEL}.use_liger",
    "vllm_enable_sleep_mode": f"{_ROLLOUT}.free_cache_engine",
    "vllm_importance_sampling_correction": "algorithm.rollout_correction.rollout_is",
    "vllm_max_model_length": f"{_ROLLOUT}.max_model_len",
    "warmup_ratio": f"{_ACTOR}.optim.lr_warmup_steps_ratio",
}
"""Setting -> verl's key."""
_NOT_YET = {
    "load_in_4bit": f"{_ACTOR}.fsdp_config",
}
"""Setting -> verl's key for it, which the engine refuses too: it cannot score or export such a model."""
_HERE = {
    "use_vllm": "sampler: vllm",
    "vllm_mode": "sampler: vllm, which samples beside the trainer",
    "dtype": "bf16",
    "model_name_or_path": "model",
}
"""Setting -> what to set instead."""


def no_counterpart(name: str) -> None:
    """Refuse a setting that is known and has no counterpart; others pass, to be named as unknown.

    Raises:
        UserError: with verl's own key, or what to set here.
    """
    if name in _VERL:
        raise UserError(f"setting {name} has no counterpart on the verl engine; give -- {_VERL[name]}=VALUE")
    if name in _HERE:
        raise UserError(f"setting {name} has no counterpart on the verl engine; set {_HERE[name]}")
    if name in _NOT_YET:
        raise UserError(
            f"setting {name} is not supported by the verl engine yet, nor is verl's own key "
            f"({_NOT_YET[name]}); train with --engine trl"
        )
