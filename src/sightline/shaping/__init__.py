"""Scores to weights `[B, T]` ≥ 0, 0 on padding: each file is a way to spend a rollout's advantage.

Scores are ≥ 0 and may be anything at padding. Rows whose mask is empty give 0 and take no part in any
statistic. Greek letters of the papers are spelled by meaning and named in the docstrings.
"""

from .bonuses import advantage_bonus
from .compensation import batch_min_max, late_and_high, late_compensation, progress
from .gates import gated_softmax
from .mass import importance, mass_conserving_gate, quantile_gate
from .rules import ADJUSTMENTS, CONTEXT, SHAPINGS, Rule, Step, adjustment, shaping
from .selection import batch_top_shares, joint_fraction, joint_scores
from .tokens import centered_token_weights, saturated, top_fraction, top_fraction_union, top_mass
from .trajectories import centered_rollout_weights, robust_rollout_scale, trajectory_weights

__all__ = [
    "ADJUSTMENTS",
    "CONTEXT",
    "SHAPINGS",
    "Rule",
    "Step",
    "adjustment",
    "advantage_bonus",
    "batch_min_max",
    "batch_top_shares",
    "centered_rollout_weights",
    "centered_token_weights",
    "gated_softmax",
    "importance",
    "joint_fraction",
    "joint_scores",
    "late_and_high",
    "late_compensation",
    "mass_conserving_gate",
    "progress",
    "quantile_gate",
    "robust_rollout_scale",
    "saturated",
    "shaping",
    "top_fraction",
    "top_fraction_union",
    "top_mass",
    "trajectory_weights",
]
