"""What several samples of one problem say together: pass@k and maj@k."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

EXACT_SUBSETS = 500
"""Up to this many subsets are all taken; of more, this many are drawn."""


def pass_at(k: int, samples: int, correct: int) -> float:
    """The chance that at least one of k samples drawn from `samples` is right, unbiased.

    1 − C(n−c, k) / C(n, k)

    Defined for 1 <= k <= n. Source: Chen et al. 2021, arXiv 2107.03374, Eq. 1.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs at least {k} samples of a problem, there are {samples}")
    return 1 - math.comb(samples - correct, k) / math.comb(samples, k)


def majority_at(k: int, answers: Sequence[str | None], correct: Sequence[bool], *, seed: int = 0) -> float:
    """The chance that the most frequent answer of k samples is right.

    Right samples count as one answer, the others by their text; a sample without an answer does not
    vote unless it was judged right. A tie is shared evenly: two answers of two votes each, one of them
    right, give 0.5. It is the mean over all subsets of k samples, or over 500 drawn by `seed`.
    """
    n = len(answers)
    if not 1 <= k <= n:
        raise ValueError(f"maj@{k} needs at least {k} samples of a problem, there are {n}")
    votes = [True if right else answer for answer, right in zip(answers, correct, strict=True)]
    if math.comb(n, k) <= EXACT_SUBSETS:
        subsets = list(combinations(range(n), k))
    else:
        random = np.random.default_rng([seed, n, k])
        subsets = [tuple(random.permutation(n)[:k].tolist()) for _ in range(EXACT_SUBSETS)]
    return sum(_winner([votes[i] for i in subset]) for subset in subsets) / len(subsets)


def _winner(votes: Sequence[str | bool | None]) -> float:
    """The part of the leading answers that is right: 1 or 0, between in a tie."""
    counted = Counter(vote for vote in votes if vote is not None)
    if not counted:
        return 0.0
    most = max(counted.values())
    leading = [vote for vote, count in counted.items() if count == most]
    return float(True in leading) / len(leading)


def sizes(samples: int) -> list[int]:
    """The k that are reported for n samples: the powers of two up to n, and n."""
    return sorted({*(2**power for power in range(samples.bit_length()) if 2**power <= samples), samples})
