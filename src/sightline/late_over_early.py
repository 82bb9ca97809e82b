"""The late/early ratio of a score: how much of it is left in the second half of the answers (VGPO).

VGPO follows visual focus over the progress of an answer, 0 to 100 %, in which a long answer counts as much
as a short one, and gives the ratio for wrong against right answers (0.532 / 0.680). So each answer counts
once here too: not each token, which would let the longest answers decide. Everything that shows
this ratio (training's metrics, evaluation, inspection, studies) computes it here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Halves = tuple[float, float]
"""Mean score of an answer's first and of its second half."""


def half_means(scores: Sequence[float] | np.ndarray) -> Halves | None:
    """The mean of the first and of the second half of one answer's scores [T], each ≥ 0.

    A middle token counts in neither half, and NaN stands for a token without a score. None if one of
    the halves has no score.
    """
    values = np.asarray(scores, dtype=np.float64)
    half = len(values) // 2
    early, late = (part[np.isfinite(part)] for part in (values[:half], values[len(values) - half :]))
    return (float(early.mean()), float(late.mean())) if len(early) and len(late) else None


def late_over_early(halves: Sequence[Halves]) -> float | None:
    """Mean over answers of the second half's mean score, divided by that of the first half's; ≥ 0.

    None without answers, and where no first half has a score above 0.
    """
    early, late = (math.fsum(pair[side] for pair in halves) for side in (0, 1))
    return late / early if early > 0 else None
