"""From rewards to what a method puts on every token: group advantages A [B] and weighted ones A·w [B, T].

Everything here is computed once per rollout batch, before it is shuffled or split, over whole prompt groups
and over all ranks: statistics then do not depend on how an engine cuts its batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..methods import Method, statistics
from ..objectives import Term, group_advantages, sampled_entropy
from ..rollouts import Rollouts
from .metric_names import WITHOUT_IMAGE
from .ranks import Ranks

ONE_PROCESS = Ranks()


def token_advantages(
    method: Method,
    advantages: Tensor,
    rollouts: Rollouts,
    scores: Mapping[str, Tensor],
    ranks: Ranks = ONE_PROCESS,
    *,
    progress: float = 1.0,
    noisy: Tensor | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """A·w [b, T] of this rank's rows, and the metrics of the method's weights by name.

    `advantages` [b] are the group advantages of this rank's rows; the rest is that of `token_weights`.
    """
    context = {"advantages": advantages, "progress": progress, "noisy": noisy}
    weights, metrics = token_weights(method, rollouts, scores, ranks, context)
    return advantages[:, None] * weights, metrics


def token_weights(
    method: Method,
    rollouts: Rollouts,
    scores: Mapping[str, Tensor],
    ranks: Ranks = ONE_PROCESS,
    context: Mapping[str, Any] | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """w [b, T] ≥ 0 of this rank's rows, and the metrics of all ranks' weights by name.

    `scores` maps the signals of `method.needs` to [b, T]; of `rollouts` only `mask`, `group_ids` and
    `has_image` are read, so `images` may hold stand-ins. Statistics are over the rows of all ranks, which
    need not be of one length T. `context` holds what `method.reads` names, `advantages` [b] and `noisy` [b]
    of this rank's rows; an advantage that is not finite, whose row is left out of the step, counts as 0.

    Raises:
        UserError: scores that are not finite or out of their range at a valid token (`Method.weights`).
    """
    mask, groups = ranks.gather_rows(rollouts.mask), ranks.gather_rows(rollouts.group_ids)
    has_image = ranks.gather_rows(torch.tensor(rollouts.has_image, device=mask.device))
    everything = {name: ranks.gather_rows(values) for name, values in scores.items()}
    facts = {name: value for name, value in (context or {}).items() if name in method.reads}
    for name, value in facts.items():
        if isinstance(value, Tensor):
            rows = value.nan_to_num(0.0, 0.0, 0.0) if value.is_floating_point() else value
            facts[name] = ranks.gather_rows(rows)
    weights = method.weights(everything, mask, groups, has_image, **facts)
    metrics = statistics(method, everything, weights, mask, groups, has_image, **facts)
    return ranks.own(weights)[:, : rollouts.mask.shape[1]], metrics


def rewards_to_advantages(rewards: Tensor, reward_weights: Tensor, group_size: int) -> Tensor:
    """Group advantages A [B] of the weighted sum of rewards, with the papers' epsilon of 1e-6.

    `rewards` [B, functions] are those of all ranks, a prompt's `group_size` rollouts in a row; NaN where a
    function has no opinion. A row without any reward has advantage 0 and is left out of its group's mean.
    """
    summed = (rewards * reward_weights.to(rewards.device)).nansum(1)
    scored = ~rewards.isnan().all(1)
    groups = torch.arange(len(summed), device=summed.device) // group_size
    advantages = torch.zeros_like(summed)
    advantages[scored] = group_advantages(summed[scored], groups[scored])
    return advantages


def count_without_image(rollouts: Rollouts, ranks: Ranks = ONE_PROCESS) -> dict[str, float]:
    """The metric `rollouts/without_image` of all ranks' rows, for methods without scores."""
    shown = ranks.gather_rows(torch.tensor(rollouts.has_image, device=rollouts.mask.device))
    return {WITHOUT_IMAGE: float((~shown).sum())}


def loss_terms(method: Method) -> tuple[Term, ...]:
    """The method's own terms, and its objective's penalty η·mean(−log π) on sampled log-probs."""
    penalty = method.objective.entropy_penalty
    entropy = (Term("entropy_penalty", penalty, sampled_entropy),) if penalty else ()
    return (*method.terms, *entropy)
