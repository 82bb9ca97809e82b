"""What a run logs of one batch of weights: plain numbers under names that say what they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from .. import masked
from ..late_over_early import half_means, late_over_early
from .inputs import Batch, Scores, checked
from .method import Method


def statistics(
    method: Method,
    scores: Scores,
    weights: Tensor,
    mask: Tensor,
    group_ids: Tensor | Sequence[int],
    has_image: Tensor | Sequence[bool] | None = None,
    *,
    advantages: Tensor | Sequence[float] | None = None,
    progress: float = 1.0,
    noisy: Tensor | Sequence[int] | None = None,
) -> dict[str, float]:
    """The numbers that show what a method did to a batch; `weights` are those it returned for it.

    - `weights/`: `kept_share` of the tokens (above 0), `mean`, `max`, `log_max`, `rollout_std` of the
      rollouts' mean weight, `effective_sample_share` (Σw)²/(n·Σw²).
    - `rollouts/`: counts `without_image`, `without_tokens`, and `constant/<shaping>`, those whose range
      was up to `min_range`.
    - `scores/<signal>/` of tokens with an image, as measured: `mean`, `max`, `rollout_std` of the
      rollouts' means over all, `within_group_std` and `between_group_std` of them; `late_over_early`
      (see there): mean over responses of the second half's score over that of the first's.
    - whatever a shaping adds under its own name, as `mass_conserving_gate/mass_factor_max`.

    A number that is not defined for the batch is left out.
    """
    facts = {"advantages": advantages, "progress": progress, "noisy": noisy}
    batch = checked(method.signals, scores, mask, group_ids, has_image, **facts)
    found = _weights(weights.to(batch.mask.device), batch) | _rollouts(batch)
    for name in method.signals:
        numbers = _scores(batch.values[name], batch.scores[name], batch)
        found |= {f"scores/{name}/{key}": value for key, value in numbers.items()}
    context = method.context(batch)
    for step in method.shapings:
        columns = method.adjusted(step, batch)
        spread = step.spread(*columns, **context)
        if spread is not None:
            caught = (spread <= method.min_range) & batch.seen.any(-1)
            found[f"rollouts/constant/{step.name}"] = int(caught.sum())
        numbers = step.statistics(*columns, **context)
        owner = step.rule.metrics or step.name
        found |= {f"{owner}/{key}": float(value) for key, value in numbers.items()}
    return {name: float(value) for name, value in found.items()}


def _weights(weights: Tensor, batch: Batch) -> dict[str, float]:
    tokens = int(batch.mask.sum())
    if tokens == 0:
        return {}
    values = weights.double() if weights.device.type != "mps" else weights
    per_rollout = masked.row_mean(values, batch.mask)[batch.mask.any(-1)]
    total, squares = float(values.sum()), float(values.square().sum())
    largest = float(values.max())
    found = {
        "weights/kept_share": float((values > 0).sum()) / tokens,
        "weights/mean": total / tokens,
        "weights/max": largest,
        "weights/rollout_std": float(per_rollout.std(correction=0)),
    }
    if largest > 0:
        found["weights/log_max"] = math.log(largest)
        found["weights/effective_sample_share"] = total**2 / (tokens * squares)
    return found


def _rollouts(batch: Batch) -> dict[str, float]:
    return {
        "rollouts/without_image": float((~batch.has_image).sum()),
        "rollouts/without_tokens": float((~batch.mask.any(-1)).sum()),
    }


def _scores(values: Tensor, scores: Tensor, batch: Batch) -> dict[str, float]:
    counted = batch.seen.any(-1)
    if not counted.any():
        return {}
    means = masked.row_mean(values, batch.seen)
    of_group = masked.group_mean(means, batch.group_ids, counted)
    found = {
        "mean": float(masked.mean(values, batch.seen)),
        "max": float(values[batch.seen].max()),
        "rollout_std": float(means[counted].std(correction=0)),
        "within_group_std": float((means - of_group)[counted].square().mean().sqrt()),
        "between_group_std": float(of_group[counted].std(correction=0)),
    }
    rows = zip(scores.cpu().double().numpy(), batch.seen.cpu().bool().numpy(), strict=True)
    halves = [half_means(row[seen]) for row, seen in rows]
    ratio = late_over_early([pair for pair in halves if pair is not None])
    if ratio is not None:
        found["late_over_early"] = ratio
    return found
