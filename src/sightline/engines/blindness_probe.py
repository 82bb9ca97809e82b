"""Whether the image matters: log-probs of what was sampled, with the image and without."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from .. import masked
from ..methods import Needs
from ..rollouts import Rollouts
from ..views import Black

ROWS = 8
"""Rollouts of each rank that are looked at."""


def image_effect(trainer: Any, rollouts: Rollouts) -> float | None:
    """Mean |log π(o_t | image) − log π(o_t | black)| over tokens of a few rollouts of all ranks, in nats.

    None if none of them has an image.
    """
    few = _some(rollouts, ROWS)
    scores = trainer._score(few, Needs(frozenset(), Black(), False))
    shown = torch.tensor(few.has_image, device=few.mask.device)[:, None]
    counted = few.mask * shown
    change = (scores.log_probs - scores.other_log_probs).abs()
    sums = torch.stack([masked.row_sum(change, counted).sum(), counted.sum().to(change.dtype)])
    total: Any = trainer.accelerator.reduce(sums, reduction="sum")
    return float(total[0] / total[1]) if total[1] > 0 else None


def _some(rollouts: Rollouts, count: int) -> Rollouts:
    """Rows spread evenly over the batch, so over its prompts."""
    size = len(rollouts)
    rows = torch.linspace(0, size - 1, min(count, size)).round().long().unique()
    chosen = rows.tolist()
    at = rows.to(rollouts.mask.device)
    return replace(
        rollouts,
        prompt_ids=rollouts.prompt_ids[at],
        prompt_mask=rollouts.prompt_mask[at],
        response_ids=rollouts.response_ids[at],
        mask=rollouts.mask[at],
        group_ids=rollouts.group_ids[at],
        images=[rollouts.images[row] for row in chosen],
        sample_ids=[rollouts.sample_ids[row] for row in chosen] if rollouts.sample_ids else (),
        rollout_ids=None if rollouts.rollout_ids is None else rollouts.rollout_ids[at],
    )
