"""What a set of scored answers says about looking: the numbers behind the papers' figures.

Every function takes answers and the name of a score, leaves tokens without a score out, and treats the
answer as the unit that was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...late_over_early import half_means
from ...late_over_early import late_over_early as ratio_of
from ..readers.samples import SavedAnswer

Z_95 = 1.959963984540054
TOP = (0.05, 0.10, 0.20, 0.40)
"""Fractions of tokens whose share of the whole score is given."""


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval over `count` answers; the interval is NaN for fewer than two."""

    value: float
    low: float
    high: float
    count: int


def mean(values: Iterable[float]) -> Mean:
    """Mean ± 1.96 standard errors of the mean; NaN for no values."""
    known = np.array([value for value in values if math.isfinite(value)], dtype=float)
    if len(known) == 0:
        return Mean(math.nan, math.nan, math.nan, 0)
    centre = float(known.mean())
    half = Z_95 * float(known.std(ddof=1)) / math.sqrt(len(known)) if len(known) > 1 else math.nan
    return Mean(centre, centre - half, centre + half, len(known))


def column(told: SavedAnswer, name: str) -> np.ndarray:
    """One score of an answer, float64 [T], NaN where a token has none."""
    values = told.scores.get(name, ())
    return np.array([math.nan if value is None else value for value in values], dtype=float)


def positive(name: str, values: np.ndarray) -> np.ndarray:
    """A score as one ≥ 0, as methods read it: a cosine as (S + 1)/2 (VGPO Eq. 4), others cut at 0."""
    cosine = name.split("/")[0] in ("visual_focus", "hidden_similarity")
    return (values + 1) / 2 if cosine else values.clip(0)


def pooled(answers: Iterable[SavedAnswer], name: str) -> np.ndarray:
    """All token scores of all answers, float64 [N]."""
    columns = [column(told, name) for told in answers]
    values = np.concatenate(columns) if columns else np.zeros(0)
    return values[np.isfinite(values)]


def answer_means(answers: Iterable[SavedAnswer], name: str) -> np.ndarray:
    """The mean score of each answer that has any, float64 [A]."""
    means = [_nanmean(column(told, name)) for told in answers]
    return np.array([value for value in means if math.isfinite(value)], dtype=float)


def mass_shares(values: np.ndarray, fractions: Sequence[float] = TOP) -> list[float]:
    """The share of the sum of `values` (≥ 0) that the highest ⌈f·N⌉ hold, for each f; NaN for none."""
    total = float(values.sum())
    if len(values) == 0 or total <= 0:
        return [math.nan] * len(fractions)
    held = np.cumsum(np.sort(values)[::-1])
    return [float(held[min(len(values), math.ceil(f * len(values))) - 1]) / total for f in fractions]


def over_progress(answers: Iterable[SavedAnswer], name: str, bins: int = 20) -> np.ndarray:
    """Each answer's score at the centres of `bins` equal parts of its length, float64 [A, bins].

    Token t of T covers the part from t/T to (t+1)/T. Answers without any score are left out.
    """
    centres = (np.arange(bins) + 0.5) / bins
    columns = (column(told, name) for told in answers)
    rows = [values[(centres * len(values)).astype(int)] for values in columns if np.isfinite(values).any()]
    return np.array(rows, dtype=float).reshape(len(rows), bins)


def late_over_early(answers: Iterable[SavedAnswer], name: str) -> Mean:
    """Mean score of the second halves of the answers over that of the first, scores ≥ 0 as in `positive`.

    Each answer counts once (`sightline.late_over_early`). The interval is that of the logarithm of a ratio
    of two means over answers (delta method).
    """
    found = [half_means(positive(name, column(told, name))) for told in answers]
    halves = [pair for pair in found if pair is not None]
    ratio = ratio_of(halves)
    if ratio is None:
        return Mean(math.nan, math.nan, math.nan, len(halves))
    if len(halves) == 1 or ratio == 0:
        return Mean(ratio, math.nan, math.nan, len(halves))
    early, late = np.array(halves).T
    influence = (late - ratio * early) / early.sum()
    error = math.sqrt(float((influence**2).sum()) * len(halves) / (len(halves) - 1))
    factor = math.exp(min(Z_95 * error / ratio, 700.0))
    return Mean(ratio, ratio / factor, ratio * factor, len(halves))


def _nanmean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def by_verdict(answers: Iterable[SavedAnswer]) -> dict[str, list[SavedAnswer]]:
    """ "right" and "wrong" answers, those of them that there are; all under "all" if none was graded."""
    listed = list(answers)
    groups = {
        "right": [told for told in listed if told.correct is True],
        "wrong": [told for told in listed if told.correct is False],
    }
    found = {name: members for name, members in groups.items() if members}
    return found or ({"all": listed} if listed else {})
