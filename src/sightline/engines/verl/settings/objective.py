"""A method's objective in verl's words."""

from __future__ import annotations

AGGREGATIONS = {"dapo": "token-mean", "grpo": "seq-mean-token-mean", "dr_grpo": "seq-mean-token-sum-norm"}
"""`loss_type` -> verl's `loss_agg_mode`. verl's token mean is that of the whole optimizer step."""
NO_DUAL_CLIP = 1e6
"""verl always clips the loss of a negative advantage; so large a bound never binds."""
