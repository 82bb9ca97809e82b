"""What TRL's own numbers may be, and its names, beside those of every engine."""

from __future__ import annotations

LEAST = {
    "steps_per_generation": 1, "wait_for_disk": 0, "blind_every": 0, "warn_blind": 0, "min_p": 0,
    "adam_epsilon": 0,
}  # fmt: skip
"""The least that a number may be."""
CHOICES = {
    "when_uninformative": ("keep", "error"),
    "loss_type": ("grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "scale_rewards": ("group", "batch", "none"),  # it may be a bool too
    "importance_sampling_level": ("token", "sequence"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "shuffle_by": ("prompt", "rollout"),
}
