"""What TRL's own numbers may be, and its names, beside those of every engine."""

from __future__ import annotations

LEAST = {"steps_per_generation": 1, "min_p": 0, "adam_epsilon": 0}
"""The least that a number may be."""
CHOICES = {
    "loss_type": ("grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "scale_rewards": ("group", "batch", "none"),  # it may be a bool too
    "importance_sampling_level": ("token", "sequence"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "shuffle_by": ("prompt", "rollout"),
}
