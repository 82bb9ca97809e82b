"""Two arms over the same seeds: paired differences, and p values corrected for the number of comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...evaluation.statistics.intervals import clustered_mean
from ...evaluation.statistics.multiple_tests import holm
from ...evaluation.statistics.paired import paired

__all__ = ["holm", "mean_over_seeds", "null_share", "paired_over_seeds"]

STUDIES = 2000


def mean_over_seeds(values: Sequence[float]) -> dict[str, float | int]:
    """Mean of one number per seed with a 95 % t interval, and the seeds' standard deviation.

    Fewer than two seeds have neither (NaN).
    """
    found = clustered_mean(values, range(len(values)))
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "spread": spread,
        "seeds": len(values),
    }


def paired_over_seeds(ours: Mapping[int, float], theirs: Mapping[int, float]) -> dict[str, Any] | None:
    """`ours` minus `theirs` over the seeds that both have, one number each; None if there is no such seed.

    `value` with its 95 % t interval, two-sided `p` of the t test with n − 1 degrees of freedom, `p_flip` by
    flipping signs, and `spread`, the standard deviation of the differences. Fewer than two seeds have a value
    alone; the rest is None. Differences that are all the same, as few problems give them, have no p of the
    t test.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    gaps = [ours[seed] - theirs[seed] for seed in seeds]
    if len(seeds) < 2:
        nothing = dict.fromkeys(("low", "high", "p", "p_flip", "spread"))
        return {"value": gaps[0], **nothing, "seeds": 1}
    found = paired(gaps, seeds)
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "p": found.p if found.standard_error > 0 or found.value == 0 else None,
        "p_flip": found.p_flip,
        "spread": float(np.std(gaps, ddof=1)),
        "seeds": len(seeds),
    }


def null_share(
    values: Sequence[float], level: float = 0.05, *, studies: int = STUDIES, seed: int = 0
) -> dict[str, Any] | None:
    """How often one arm against itself under other seeds comes out significant.

    In each of `studies` resampled studies the seeds are split at random into two halves, paired at random,
    and compared as two arms are. `share` of p < `level`, of the t test and by flipping signs. Fewer than
    eight values give None: their halves can be paired in too few ways.
    """
    pairs = len(values) // 2
    if pairs < 4:
        return None
    random = np.random.default_rng(seed)
    hits = {"p": 0, "p_flip": 0}
    for _ in range(studies):
        drawn = random.permutation(values)
        gaps = (drawn[:pairs] - drawn[pairs : 2 * pairs]).tolist()
        found = paired(gaps, range(pairs))
        for name in hits:
            hits[name] += getattr(found, name) < level
    return {"level": level, "pairs": pairs, "studies": studies} | {
        f"share_{name}": count / studies for name, count in hits.items()
    }
