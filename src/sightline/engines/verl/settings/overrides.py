"""Our settings as overrides of verl's configuration, each with the setting that asks for it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ....methods import Method
from ....models.loading import EMBEDDED
from ...checkpoints import STAGING
from .config import VerlConfig
from .objective import AGGREGATIONS, NO_DUAL_CLIP

_ACTOR, _ROLLOUT, _MODEL = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.model"
_REF = "actor_rollout_ref.ref"
_PACKAGE = "sightline.engines.verl"
CPU_SAMPLER = "sightline_cpu"
LONGEST_PROMPT = 2048
"""Tokens that verl makes room for where max_prompt_length does not say."""


@dataclass(frozen=True)
class Override:
    """One line of verl's configuration."""

    key: str
    value: Any
    setting: str = ""
    """Ours that asks for it; empty where the engine needs it so."""
    new: bool = False
    """Whether verl's configuration has no such key."""

    def __str__(self) -> str:
        """As verl takes it."""
        return f"{'+' if self.new else ''}{self.key}={_hydra(self.value)}"


def overrides_of(train: VerlConfig, method: Method) -> list[Override]:
    """verl's configuration for these settings."""
    return [
        *_model(train),
        *_batches(train),
        *_sampling(train, method),
        *_optimizer(train),
        *_objective(train, method),
        *_run(train),
        *(_on_cpu(train) if train.use_cpu else _on_gpu(train)),
        *_ours(),
    ]


def model_path(train: VerlConfig) -> str:
    """The folder or hub id of the model."""
    return str(EMBEDDED.get(str(train.model), train.model))


def attention(train: VerlConfig) -> str:
    """The attention kernel: flash attention where it is installed, which alone keeps packed rows apart."""
    usual = "flash_attention_2" if not train.use_cpu and find_spec("flash_attn") is not None else "sdpa"
    return train.attn_implementation or usual


def _model(train: VerlConfig) -> list[Override]:
    return [
        Override(f"{_MODEL}.path", model_path(train), "model"),
        Override(f"{_MODEL}.trust_remote_code", train.trust_remote_code, "trust_remote_code"),
        *(_adapters(train) if train.use_peft else []),
        Override(
            f"{_MODEL}.enable_gradient_checkpointing", train.gradient_checkpointing, "gradient_checkpointing"
        ),
        Override(
            f"{_MODEL}.override_config.attn_implementation",
            attention(train),
            "attn_implementation",
            new=True,
        ),
    ]


def _adapters(train: VerlConfig) -> list[Override]:
    targets = train.lora_target_modules
    return [
        Override(f"{_MODEL}.lora_rank", train.lora_r, "lora_r"),
        Override(f"{_MODEL}.lora_alpha", train.lora_alpha, "lora_alpha"),
        Override(
            f"{_MODEL}.target_modules",
            "all-linear" if targets == ["all-linear"] else targets,
            "lora_target_modules",
        ),
        Override(f"{_MODEL}.lora.merge", True, "use_peft"),  # any sampler takes whole weights
    ]


def _batches(train: VerlConfig) -> list[Override]:
    group = train.num_generations
    rows = train.per_device_train_batch_size
    return [
        Override("data.train_batch_size", train.batch_rollouts // group, "generation_batch_size"),
        Override(
            f"{_ACTOR}.ppo_mini_batch_size", train.step_rollouts // group, "gradient_accumulation_steps"
        ),
        Override(f"{_ACTOR}.ppo_micro_batch_size_per_gpu", rows, "per_device_train_batch_size"),
        Override(f"{_ROLLOUT}.log_prob_micro_batch_size_per_gpu", rows, "per_device_train_batch_size"),
        Override(f"{_REF}.log_prob_micro_batch_size_per_gpu", rows, "per_device_train_batch_size"),
        Override(f"{_ACTOR}.ppo_epochs", train.num_iterations, "num_iterations"),
        Override("data.max_prompt_length", train.max_prompt_length or LONGEST_PROMPT, "max_prompt_length"),
        Override("data.max_response_length", train.max_completion_length, "max_completion_length"),
        Override("data.val_max_samples", max(1, train.eval_problems), "eval_problems"),
        Override("data.shuffle", train.shuffle_dataset, "shuffle_dataset"),
        Override("data.seed", train.seed, "seed"),
        Override(f"{_ACTOR}.data_loader_seed", train.seed, "seed"),
        Override(f"{_ACTOR}.fsdp_config.seed", train.seed, "seed"),
    ]


def _sampling(train: VerlConfig, method: Method) -> list[Override]:
    replace = method.objective.informative_groups is not None and train.max_rounds > 1
    return [
        Override(f"{_ROLLOUT}.name", CPU_SAMPLER if train.use_cpu else train.sampler, "sampler"),
        Override(f"{_ROLLOUT}.n", train.num_generations, "num_generations"),
        Override(f"{_ROLLOUT}.temperature", train.temperature, "temperature"),
        Override(f"{_ROLLOUT}.top_p", train.top_p, "top_p"),
        Override(f"{_ROLLOUT}.top_k", train.top_k or -1, "top_k"),
        Override(f"{_ROLLOUT}.seed", train.seed, "seed"),
        Override(f"{_ROLLOUT}.calculate_log_probs", True),
        Override("algorithm.filter_groups.enable", replace, "max_rounds"),
        Override("algorithm.filter_groups.metric", "reward" if replace else None),
    ]


def _optimizer(train: VerlConfig) -> list[Override]:
    optim = f"{_ACTOR}.optim"
    warm = train.lr_scheduler_type != "constant"
    return [
        Override(f"{optim}.lr", train.learning_rate, "learning_rate"),
        Override(f"{optim}.lr_scheduler_type", _schedule(train), "lr_scheduler_type"),
        Override(
            f"{optim}.lr_warmup_steps", train.warmup_steps // train.updates if warm else 0, "warmup_steps"
        ),
        Override(f"{optim}.weight_decay", train.weight_decay, "weight_decay"),
        Override(f"{optim}.betas", [train.adam_beta1, train.adam_beta2], "adam_beta1, adam_beta2"),
        Override(f"{optim}.clip_grad", train.max_grad_norm, "max_grad_norm"),
    ]


def _schedule(train: VerlConfig) -> str:
    return "cosine" if train.lr_scheduler_type == "cosine" else "constant"


def _objective(train: VerlConfig, method: Method) -> list[Override]:
    fixed = train.loss_type == "dr_grpo"
    reference = train.beta > 0
    return [
        Override("algorithm.adv_estimator", "grpo"),
        Override(f"{_ACTOR}.freeze_vision_tower", train.freeze_vision, "freeze_vision"),
        Override("algorithm.norm_adv_by_std_in_grpo", train.scale_rewards == "group", "scale_rewards"),
        Override("algorithm.use_kl_in_reward", False),
        Override(f"{_ACTOR}.clip_ratio", train.epsilon, "epsilon"),
        Override(f"{_ACTOR}.clip_ratio_low", train.epsilon, "epsilon"),
        Override(f"{_ACTOR}.clip_ratio_high", train.epsilon_high, "epsilon_high"),
        Override(f"{_ACTOR}.clip_ratio_c", NO_DUAL_CLIP if train.delta is None else train.delta, "delta"),
        Override(f"{_ACTOR}.loss_agg_mode", AGGREGATIONS[train.loss_type], "loss_type"),
        Override(f"{_ACTOR}.loss_scale_factor", train.max_completion_length if fixed else None, "loss_type"),
        Override(
            f"{_ACTOR}.policy_loss.loss_mode",
            "gspo" if train.importance_sampling_level == "sequence" else "vanilla",
            "importance_sampling_level",
        ),
        Override(f"{_ACTOR}.use_kl_loss", reference, "beta"),
        Override(f"{_ACTOR}.kl_loss_coef", train.beta, "beta"),
        Override(f"{_ACTOR}.kl_loss_type", "low_var_kl"),
        Override(f"{_ACTOR}.entropy_coeff", 0.0),
        Override(f"{_ACTOR}.calculate_entropy", False),
    ]


def _run(train: VerlConfig) -> list[Override]:
    folder = Path(str(train.output_dir)).absolute()
    steps = None if train.max_steps < 0 else train.max_steps // train.updates
    saves = train.save_steps // train.updates if train.save_strategy == "steps" else -1
    trackers = [] if train.report_to in (None, "none") else [train.report_to]
    return [
        Override("trainer.nnodes", train.nnodes, "nnodes"),
        Override("trainer.n_gpus_per_node", train.n_gpus_per_node, "n_gpus_per_node"),
        Override("trainer.total_training_steps", steps, "max_steps"),
        Override("trainer.total_epochs", _epochs(train), "num_train_epochs"),
        Override("trainer.save_freq", saves, "save_steps"),
        Override("trainer.default_local_dir", str(folder / STAGING), "output_dir"),
        Override("trainer.resume_mode", "disable", "resume"),
        Override("trainer.test_freq", -1),
        Override("trainer.val_before_train", False),
        Override("trainer.logger", trackers, "report_to"),
        Override("trainer.project_name", "sightline"),
        Override("trainer.experiment_name", train.run_name or folder.name, "run_name"),
    ]


def _epochs(train: VerlConfig) -> int:
    """So many that max_steps, where it is given, ends the run; the data start over as often as it takes."""
    return 1_000_000 if train.max_steps > 0 else max(1, math.ceil(train.num_train_epochs))


def _on_gpu(train: VerlConfig) -> list[Override]:
    return [
        Override(f"{_ACTOR}.fsdp_config.dtype", "bfloat16" if train.bf16 else "float32", "bf16"),
        Override(
            f"{_ROLLOUT}.gpu_memory_utilization",
            train.vllm_gpu_memory_utilization,
            "vllm_gpu_memory_utilization",
        ),
        Override(
            f"{_ROLLOUT}.tensor_model_parallel_size",
            train.vllm_tensor_parallel_size,
            "vllm_tensor_parallel_size",
        ),
        Override(f"{_MODEL}.use_remove_padding", attention(train).startswith("flash"), "attn_implementation"),
        *_precision("bf16" if train.bf16 else "fp32", "bf16"),
    ]


def _on_cpu(train: VerlConfig) -> list[Override]:
    ranks = train.n_gpus_per_node
    return [
        Override("trainer.device", "cpu", "use_cpu"),
        *_precision("fp32", "bf16"),
        Override(f"{_MODEL}.use_remove_padding", False, "use_cpu"),
        Override(f"{_ACTOR}.fsdp_config.use_torch_compile", False, "use_cpu"),
        Override(f"{_ACTOR}.use_torch_compile", False, "use_cpu"),
        Override(f"{_REF}.use_torch_compile", False, "use_cpu"),
        Override(f"{_ROLLOUT}.tensor_model_parallel_size", ranks, "use_cpu"),
        Override(f"{_ROLLOUT}.load_format", "auto", "use_cpu"),
        Override(f"{_ROLLOUT}.agent.num_workers", 1, "use_cpu"),
        Override(f"{_ROLLOUT}.engine_kwargs.{CPU_SAMPLER}.rows", train.batch_rollouts, "use_cpu", new=True),
        Override("reward.num_workers", 1, "use_cpu"),
        Override("data.dataloader_num_workers", 0, "use_cpu"),
        Override("transfer_queue.backend.SimpleStorage.num_data_storage_units", 1, "use_cpu"),
        Override("ray_kwargs.ray_init.num_cpus", 16, "use_cpu"),
        Override("ray_kwargs.ray_init.num_gpus", ranks, "use_cpu", new=True),  # counted by verl, never used
        Override("ray_kwargs.ray_init.object_store_memory", 400 * 2**20, "use_cpu", new=True),
    ]


def _precision(dtype: str, setting: str) -> list[Override]:
    found = []
    for part in (_ACTOR, _REF):
        key = f"{part}.fsdp_config.mixed_precision"
        value = {"param_dtype": dtype, "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
        found.append(Override(key, value, setting, new=True))
    return found


def _ours() -> list[Override]:
    """What makes it Sightline's run: our trainer, data, rewards and rollouts, no kernel that hides logits."""
    return [
        Override("trainer.use_v1", True),
        Override("trainer.v1.trainer_mode", "sightline"),
        Override("data.train_files", "train"),
        Override("data.val_files", "test"),
        Override("data.custom_cls.path", f"pkg://{_PACKAGE}.data.dataset"),
        Override("data.custom_cls.name", "TaskRows"),
        Override("reward.reward_manager.source", "importlib"),
        Override("reward.reward_manager.name", "SightlineRewards"),
        Override("reward.reward_manager.module.path", f"pkg://{_PACKAGE}.data.rewards"),
        Override(f"{_ROLLOUT}.agent.default_agent_loop", "sightline"),
        Override(f"{_MODEL}.external_lib", f"{_PACKAGE}.plugin"),
        Override(f"{_MODEL}.use_fused_kernels", False),
        Override(f"{_ACTOR}.strategy", "fsdp2"),
        Override(f"{_REF}.strategy", "fsdp2"),
        Override(f"{_ACTOR}.fsdp_config.strategy", "fsdp2"),
        Override("ray_kwargs.ray_init.include_dashboard", False, new=True),
    ]


def _hydra(value: Any) -> str:
    """A value in hydra's grammar, which is YAML's but for braces and quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_hydra(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_hydra(inner) for inner in value) + "]"
    return (
        json.dumps(value, ensure_ascii=False) if isinstance(value, str) and not _bare(value) else str(value)
    )


def _bare(text: str) -> bool:
    return (
        bool(text) and all(letter.isalnum() or letter in "_-./:" for letter in text) and ":" not in text[:1]
    )
