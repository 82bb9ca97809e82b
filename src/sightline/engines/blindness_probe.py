"""Whether the image matters: log-probs of what was sampled, with the image and with a black one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from ..methods import Needs
from ..models.scoring.score import Scores
from ..rollouts import Rollouts
from ..views import Black
from .ranks import Ranks, mean_over_tokens

ROWS = 8
"""Rollouts of each rank that are scored."""


def image_effect(
    rollouts: Rollouts, score: Callable[[Rollouts, Needs], Scores], ranks: Ranks
) -> float | None:
    """Mean |log π(o_t | image) − log π(o_t | black)| over tokens of a few rollouts of all ranks, in nats.

    `score` scores rollouts under the policy. None if none of the rollouts has an image.
    """
    few = _some(rollouts, ROWS)
    scores = score(few, Needs(frozenset(), Black(), False))
    assert scores.other_log_probs is not None
    shown = torch.tensor(few.has_image, device=few.mask.device)[:, None]
    change = (scores.log_probs - scores.other_log_probs).abs()
    return mean_over_tokens(change, few.mask * shown, ranks)


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
