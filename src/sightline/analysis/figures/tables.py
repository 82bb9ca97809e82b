"""The numbers of each figure as a table: pure functions of answers, one row per thing that is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..readers.samples import SavedAnswer
from ..tokens.score_statistics import (
    TOP,
    Mean,
    answer_means,
    by_verdict,
    late_over_early,
    mass_shares,
    mean,
    over_progress,
    pooled,
    positive,
)
from ..tokens.word_classes import by_class, top_words

BINS = 40
PROGRESS = 20
CURVE = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
DEPENDENCIES = ("exact_kl", "jensen_shannon", "sampled_k3", "top_probability_drop")
NOT_LOOKING = ("entropy",)


@dataclass(frozen=True)
class FigureTable:
    """Rows with named columns, in long form: what goes into a CSV file and onto a figure."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def where(self, **wanted: Any) -> list[dict[str, Any]]:
        """The rows with these values, as mappings."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return [row for row in rows if all(row[name] == value for name, value in wanted.items())]

    def distinct(self, column: str) -> list[Any]:
        """The values of a column, each once, in order."""
        place = self.columns.index(column)
        return list(dict.fromkeys(row[place] for row in self.rows))


def scores_of(answers: Sequence[SavedAnswer], *, dependencies: bool = False) -> list[str]:
    """The scores that say something about looking, in order; only those that compare views if asked."""
    names = dict.fromkeys(name for told in answers for name in told.scores)
    kept = [name for name in names if name.split("/")[0] not in NOT_LOOKING]
    return [name for name in kept if name.split("/")[0] in DEPENDENCIES] if dependencies else kept


def histogram(answers: Sequence[SavedAnswer]) -> FigureTable:
    """How many tokens have how much dependency: bins up to the 99.9th percentile, the rest in the last."""
    rows = []
    for name in scores_of(answers, dependencies=True):
        values = pooled(answers, name)
        if len(values) == 0 or values.max() <= 0:
            continue
        top = max(float(np.quantile(values, 0.999)), float(values.max()) / 100)
        counts, edges = np.histogram(values.clip(max=top), BINS, (min(0.0, float(values.min())), top))
        rows += [
            (name, float(low), float(high), int(count))
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ]
    return FigureTable(("score", "from", "to", "tokens"), tuple(rows))


def mass(answers: Sequence[SavedAnswer]) -> FigureTable:
    """The share of the whole dependency that the highest tokens hold, by how many of them are taken."""
    fractions = sorted({*CURVE, *TOP})
    rows = []
    for name in scores_of(answers, dependencies=True):
        shares = mass_shares(positive(name, pooled(answers, name)), fractions)
        rows += [(name, f, s) for f, s in zip(fractions, shares, strict=True) if np.isfinite(s)]
    return FigureTable(("score", "highest_tokens", "share_of_mass"), tuple(rows))


def means(answers: Sequence[SavedAnswer]) -> FigureTable:
    """How many answers have which mean score, right ones and wrong ones apart."""
    rows = []
    for name in scores_of(answers):
        everyone = answer_means(answers, name)
        if len(everyone) == 0:
            continue
        edges = np.histogram_bin_edges(everyone, min(BINS // 2, max(5, len(everyone) // 4)))
        for verdict, members in by_verdict(answers).items():
            counts, _ = np.histogram(answer_means(members, name), edges)
            rows += [
                (name, verdict, float(low), float(high), int(count))
                for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
            ]
    return FigureTable(("score", "answers", "from", "to", "count"), tuple(rows))


def progress(answers: Sequence[SavedAnswer]) -> FigureTable:
    """Mean score over the course of the answer, right and wrong ones apart, with 95 % intervals."""
    rows = []
    for name in scores_of(answers):
        for verdict, members in by_verdict(answers).items():
            values = over_progress(members, name, PROGRESS)
            for place in range(PROGRESS if len(values) else 0):
                centre = 100 * (place + 0.5) / PROGRESS
                rows.append((name, verdict, centre, *_cells(mean(values[:, place]))))
    return FigureTable(("score", "answers", "progress_percent", "mean", "low", "high", "count"), tuple(rows))


def ratios(answers: Sequence[SavedAnswer]) -> FigureTable:
    """Late over early score of right and of wrong answers, with 95 % intervals."""
    rows = []
    for name in scores_of(answers):
        for verdict, members in by_verdict(answers).items():
            found = late_over_early(members, name)
            if np.isfinite(found.value):
                rows.append((name, verdict, *_cells(found)))
    return FigureTable(("score", "answers", "late_over_early", "low", "high", "count"), tuple(rows))


def classes(answers: Sequence[SavedAnswer]) -> FigureTable:
    """Mean score by class of words, with 95 % intervals over answers."""
    rows = [
        (name, kind, *_cells(found))
        for name in scores_of(answers)
        for kind, found in by_class(answers, name).items()
    ]
    return FigureTable(("score", "class", "mean", "low", "high", "answers"), tuple(rows))


def highest_words(answers: Sequence[SavedAnswer]) -> FigureTable:
    """The words with the highest mean score."""
    rows = [
        (name, word, value, count)
        for name in scores_of(answers)
        for word, value, count in top_words(answers, name)
    ]
    return FigureTable(("score", "word", "mean", "occurrences"), tuple(rows))


def attention(shares: Sequence[Mapping[str, Sequence[float | None]]]) -> FigureTable:
    """Shares of attention to image, question and answer so far, over the course of the answer."""
    told = [
        SavedAnswer("", None, (), {name: tuple(values) for name, values in one.items()})
        for one in shares
        if one
    ]
    rows = []
    for name in ("image", "question", "answer"):
        values = over_progress(told, name, PROGRESS)
        for place in range(PROGRESS if len(values) else 0):
            rows.append((name, 100 * (place + 0.5) / PROGRESS, *_cells(mean(values[:, place]))))
    return FigureTable(("attention_to", "progress_percent", "mean", "low", "high", "answers"), tuple(rows))


def _cells(found: Mean) -> tuple[float, float, float, int]:
    return found.value, found.low, found.high, found.count
