"""Which tokens get the gradient, by several scores at once: over the batch, or within each rollout."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from .. import masked
from .tokens import descending_rank, share_of_count


def batch_top_share(
    scores: Shaped[Tensor, "B T"], mask: Shaped[Tensor, "B T"], share: float
) -> Bool[Tensor, "B T"]:
    """Tokens whose score is at least the ceil(share·N)-th largest of the batch's N valid ones, and above 0.

    Ties at the bar all pass, so that reordering rows reorders what is chosen; none for `share` 0.
    """
    valid = masked.clean(scores, mask)[mask.bool()]
    count = math.ceil(round(share * len(valid), 9))
    if count == 0:
        return torch.zeros_like(mask.bool())
    bar = valid.sort(descending=True).values[count - 1]
    values = masked.clean(scores, mask)
    return (values >= bar) & (values > 0) & mask.bool()


def batch_top_shares(
    scores: Shaped[Tensor, "B T"],
    other_scores: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    share: float,
    other_share: float,
    weight: float,
    other_weight: float,
) -> Float[Tensor, "B T"]:
    """γ for the top share of the batch by one score, else γ' for the top share by the other, else 0 (ToR).

    The population is the batch: `batch_top_share`. A token in both counts as one of the first. Mean below 1,
    so that a step is smaller than one without weights.

    Args:
        share: α, the share of the batch's tokens by the first score; in [0, 1].
        other_share: α', the share by the second score; in [0, 1].
        weight: γ; in [0, 1e+06].
        other_weight: γ'; in [0, 1e+06].
    """
    first = batch_top_share(scores, mask, share)
    second = batch_top_share(other_scores, mask, other_share)
    return first * weight + (second & ~first) * other_weight


def _form_c(difference: Tensor, gap: Tensor, certainty: Tensor, balance: float) -> Tensor:
    return (1 - (1 - difference) ** balance * (1 - gap) ** (1 - balance)) * certainty


_Form = Callable[[Tensor, Tensor, Tensor, float], Tensor]
FORMS: dict[str, _Form] = {
    "C": _form_c,
    "D": _form_c,
    "E": lambda j, d, h, a: 1 - (1 - j) ** a * (1 - d) ** (1 - a),
    "F": lambda j, d, h, a: (1 - (a * (1 - j) + (1 - a) * (1 - d))) * h,
    "G": lambda j, d, h, a: j * d * h,
}
"""How the three min-maxed scores make one: divergence j, entropy gap d, entropy h, balance a. C differs
from D in the gap, max(H(q) − H(p), 0) for |H(q) − H(p)|."""


def joint_scores(
    divergence: Shaped[Tensor, "B T"],
    entropy: Shaped[Tensor, "B T"],
    other_entropy: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    balance: float,
    form: str,
    min_range: float,
) -> Float[Tensor, "B T"]:
    """s = [1 − (1 − j)^a (1 − d)^(1−a)]·h, each of the three min-maxed within its rollout (VEPO).

    d is |H(q) − H(p)|. The largest value of each is exactly 1, and a score whose range is up to `min_range`
    is 0 everywhere. 0 at padding.
    """
    gap = masked.clean(other_entropy, mask) - masked.clean(entropy, mask)
    gap = gap.clamp(min=0) if form == "C" else gap.abs()
    j, d, h = (
        masked.row_min_max(values, mask, min_range, epsilon=0.0).clamp(0, 1)
        for values in (divergence, gap, entropy)
    )
    return masked.clean(FORMS[form](j, d, h, balance), mask)


def joint_fraction(
    divergence: Shaped[Tensor, "B T"],
    entropy: Shaped[Tensor, "B T"],
    other_entropy: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    keep: float,
    balance: float,
    form: str,
    over_batch: bool,
    min_range: float,
) -> Float[Tensor, "B T"]:
    """T_i/k_i for the k_i = ceil(keep·T_i) tokens of largest `joint_scores` of each rollout, else 0 (VEPO).

    That is the mean over kept tokens, under a mean of rollout means. Equal scores keep the earlier token,
    so a rollout without any score keeps its first ones (`no_score_rows`).

    Args:
        keep: the share of a rollout's tokens; in (0, 1].
        balance: a, the divergence's part against the entropy gap's; in [0, 1].
        form: how the three scores make one, "C", "D", "E", "F" or "G"; D is the paper's.
        over_batch: True gives every kept token N/Σk of the batch, the mean over all kept tokens.
    """
    scores = joint_scores(
        divergence, entropy, other_entropy, mask, balance=balance, form=form, min_range=min_range
    )
    lengths = masked.lengths(mask)
    count = share_of_count(keep, lengths, math.ceil)
    kept = (descending_rank(scores, mask) < count[:, None]) & mask.bool()
    if over_batch:
        return masked.clean(kept * (lengths.sum() / count.sum().clamp(min=1)), mask)
    return masked.clean(kept * (lengths / count.clamp(min=1))[:, None], mask)


def joint_statistics(
    divergence: Shaped[Tensor, "B T"],
    entropy: Shaped[Tensor, "B T"],
    other_entropy: Shaped[Tensor, "B T"],
    mask: Shaped[Tensor, "B T"],
    *,
    balance: float,
    form: str,
    min_range: float,
) -> dict[str, float]:
    """`no_score_rows`: rollouts of which every token scores 0, so that the first ones are kept."""
    scores = joint_scores(
        divergence, entropy, other_entropy, mask, balance=balance, form=form, min_range=min_range
    )
    none = (masked.row_max(scores, mask) <= 0) & mask.bool().any(-1)
    return {"no_score_rows": float(none.sum())}
