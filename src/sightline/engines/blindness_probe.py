"""Whether the image matters: log-probs of what was sampled, with the image and with a black one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

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
    _, change, mask = image_change(rollouts, score)
    return mean_over_tokens(change, mask, ranks)


def image_change(
    rollouts: Rollouts, score: Callable[[Rollouts, Needs], Scores]
) -> tuple[Tensor, Tensor, Tensor]:
    """The numbers [n] of a few rollouts, |log π(o_t | image) − log π(o_t | black)| [n, T] in nats, and the
    mask [n, T] of the tokens behind an image, for which it says anything."""
    rows = _spread(len(rollouts), ROWS)
    few = _some(rollouts, rows)
    scores = score(few, Needs(frozenset(), Black(), False))
    assert scores.other_log_probs is not None
    shown = torch.tensor(few.has_image, device=few.mask.device)[:, None]
    return rows, (scores.log_probs - scores.other_log_probs).abs(), few.mask * shown


def _spread(size: int, count: int) -> Tensor:
    """Row numbers spread evenly over a batch, so over its prompts."""
    return torch.linspace(0, size - 1, min(count, size)).round().long().unique()


def _some(rollouts: Rollouts, rows: Tensor) -> Rollouts:
    """These rows of the batch."""
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
