"""Every setting of a verl run: TRL's names where a meaning is shared, verl's where only verl has it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ...run_settings import DataSettings, FolderSettings, PolicySettings, RewardSettings, WarningSettings


@dataclass
class VerlConfig(WarningSettings, FolderSettings, RewardSettings, DataSettings, PolicySettings):
    """The settings that `sightline train --engine verl` knows; anything else of verl's goes behind `--`."""

    engine: str = field(default="verl", metadata={"help": "The library that trains: verl, or trl."})
    output_dir: str | None = field(
        default=None, metadata={"help": "The run's folder, which every node can reach."}
    )
    seed: int = field(default=42, metadata={"help": "Seed of data, sampling and second views."})
    shuffle_dataset: bool = field(default=True, metadata={"help": "Draw prompts in random order."})
    reward_weights: list[float] | None = field(
        default=None, metadata={"help": "The weight of each of several rewards."}
    )

    n_gpus_per_node: int = field(
        default=1, metadata={"help": "Training ranks of a node: its GPUs, or processes under use_cpu."}
    )
    nnodes: int = field(default=1, metadata={"help": "Nodes of the Ray cluster that the run uses."})
    ray_address: str | None = field(
        default=None,
        metadata={"help": "`auto` or an address joins a cluster of `ray start`; else one starts here."},
    )
    use_cpu: bool = field(default=False, metadata={"help": "Train and sample on CPUs, for small models."})
    bf16: bool = field(default=True, metadata={"help": "Compute in bfloat16 over float32 weights."})
    gradient_checkpointing: bool = field(
        default=True, metadata={"help": "Compute activations again instead of keeping them."}
    )
    attn_implementation: str | None = field(
        default=None, metadata={"help": "Attention kernel; flash_attention_2 where it is, else sdpa."}
    )
    use_peft: bool = field(
        default=False,
        metadata={"help": "Train adapters (LoRA) in place of all weights; model/ is merged."},
    )
    lora_r: int = field(default=16, metadata={"help": "Rank of the adapters."})
    lora_alpha: int = field(default=32, metadata={"help": "Adapters are scaled by lora_alpha / lora_r."})
    lora_target_modules: list[str] | None = field(
        default=None,
        metadata={"help": "Modules that get adapters, by the ends of their names; all-linear takes all."},
    )
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code that comes with the model."})

    num_generations: int = field(default=8, metadata={"help": "Rollouts of one prompt."})
    per_device_train_batch_size: int = field(
        default=8, metadata={"help": "Rollouts of one forward of a rank."}
    )
    gradient_accumulation_steps: int = field(
        default=1, metadata={"help": "Forwards of a rank for one optimizer step."}
    )
    generation_batch_size: int | None = field(
        default=None,
        metadata={"help": "Rollouts of a batch over all ranks; by default those of one optimizer step."},
    )
    num_iterations: int = field(default=1, metadata={"help": "Times that a rollout batch is trained on."})
    max_completion_length: int = field(default=256, metadata={"help": "Longest response, in tokens."})
    temperature: float = field(
        default=1.0, metadata={"help": "Of sampling and of the policy that is trained."}
    )
    top_p: float = field(
        default=1.0, metadata={"help": "Sample from the likeliest tokens of this total probability."}
    )
    top_k: int = field(default=0, metadata={"help": "Sample from so many likeliest tokens; 0: from all."})
    sampler: str = field(
        default="vllm", metadata={"help": "vllm or sglang on GPUs; under use_cpu Sightline's own."}
    )
    vllm_gpu_memory_utilization: float = field(
        default=0.3, metadata={"help": "Share of a GPU's memory for the sampler."}
    )
    vllm_tensor_parallel_size: int = field(
        default=1, metadata={"help": "GPUs that share one copy of the sampler's weights."}
    )

    max_steps: int = field(default=-1, metadata={"help": "Optimizer steps; -1: num_train_epochs."})
    num_train_epochs: float = field(
        default=1, metadata={"help": "Passes over the data where max_steps does not say."}
    )
    learning_rate: float = field(default=1e-6, metadata={"help": "Peak learning rate."})
    lr_scheduler_type: str = field(
        default="constant", metadata={"help": "constant, constant_with_warmup, or cosine."}
    )
    warmup_steps: int = field(
        default=0, metadata={"help": "Optimizer steps over which the learning rate rises."}
    )
    weight_decay: float = field(default=0.0, metadata={"help": "AdamW's weight decay."})
    adam_beta1: float = field(default=0.9, metadata={"help": "AdamW's first beta."})
    adam_beta2: float = field(default=0.999, metadata={"help": "AdamW's second beta."})
    max_grad_norm: float = field(
        default=1.0, metadata={"help": "Longest gradient; longer ones are scaled down."}
    )

    epsilon: float = field(default=0.2, metadata={"help": "Ratios below 1 - epsilon are clipped."})
    epsilon_high: float = field(default=0.2, metadata={"help": "Ratios above 1 + epsilon_high are clipped."})
    delta: float | None = field(
        default=None, metadata={"help": "Bound on the loss of a negative advantage (dual clip)."}
    )
    importance_sampling_level: str = field(default="token", metadata={"help": "token, or sequence (GSPO)."})
    loss_type: str = field(
        default="dapo",
        metadata={"help": "dapo: token mean; grpo: mean over rollouts; dr_grpo: fixed length."},
    )
    scale_rewards: str = field(
        default="group", metadata={"help": "group: divide by the group's deviation; none: do not."}
    )
    beta: float = field(default=0.0, metadata={"help": "Coefficient of the KL to the starting policy."})

    save_strategy: str = field(
        default="steps", metadata={"help": "steps, or no checkpoints but the trained model."}
    )
    save_steps: int = field(default=500, metadata={"help": "Optimizer steps between two checkpoints."})
    save_total_limit: int | None = field(default=None, metadata={"help": "Checkpoints that are kept."})
    report_to: str = field(
        default="none", metadata={"help": "Trackers of verl: wandb, tensorboard, mlflow, swanlab, trackio."}
    )
    run_name: str | None = field(default=None, metadata={"help": "The run's name in trackers."})

    @property
    def ranks(self) -> int:
        """Training ranks of the run."""
        return self.n_gpus_per_node * self.nnodes

    @property
    def step_rollouts(self) -> int:
        """Rollouts of one optimizer step, over all ranks."""
        return self.per_device_train_batch_size * self.ranks * self.gradient_accumulation_steps

    @property
    def batch_rollouts(self) -> int:
        """Rollouts of one batch, over all ranks."""
        return self.generation_batch_size or self.step_rollouts

    @property
    def updates(self) -> int:
        """Optimizer steps that one rollout batch feeds, which verl counts as one step."""
        return self.batch_rollouts // self.step_rollouts * self.num_iterations

    @property
    def device(self) -> torch.device:
        """Where held-out problems are measured, in the process of the command."""
        return torch.device("cpu" if self.use_cpu else "cuda")
