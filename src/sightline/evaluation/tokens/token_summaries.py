"""What scored tokens say of a run: how sparse dependency is, how focus goes over an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import UserError
from ...late_over_early import Halves, half_means, late_over_early
from ...structure import COUNT, NUMBER, TEXT, Many, fault
from ..run.grading import Scored
from ..run.jsonl_records import read_lines
from ..run.results_folder import ResultsFolder

DEPENDENCY, FOCUS = "exact_kl", "visual_focus"
"""The signals that are kept of an answer."""
_ROW = {
    **dict.fromkeys(("benchmark", "problem"), TEXT),
    "sample": COUNT,
    **dict.fromkeys((DEPENDENCY, FOCUS), Many(NUMBER)),
}
PARTS = 10
"""Parts of an answer over which its visual focus is followed."""
RESAMPLES = 4000

Values = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class _Answer:
    cluster: str
    correct: bool
    dependency: Values
    """KL per token."""
    focus: Values
    """Visual focus per token as a score in [0, 1]."""


def dependence(
    folder: ResultsFolder, benchmark: str, sighted: Sequence[Scored], *, seed: int = 0
) -> dict[str, Any] | None:
    """The token statistics of one benchmark; None if none of its answers was scored.

    - `kl_mean` per token, in nats; `half_of_kl`: the share of tokens, largest first, that hold half of
      the KL of all tokens (0.5 if it is even, near 0 if few tokens carry it).
    - for all, right and wrong answers: their number, `focus` over ten equal parts of the answer (score
      (S+1)/2 in [0, 1]), and `late_over_early`, the mean score of second halves over that of first
      halves, each answer counted once, with a 95 % interval over problems.
    """
    verdicts = {(one.item.id, one.generation.sample): one for one in sighted if one.correct is not None}
    rows = read_lines(folder.token_scores)
    if wrong := fault(rows, Many(_ROW)):
        raise UserError(f"{folder.token_scores} is damaged: {wrong}; remove it, the answers stay")
    answers = [
        _answer(row, verdicts[row["problem"], row["sample"]])
        for row in rows
        if row["benchmark"] == benchmark and (row["problem"], row["sample"]) in verdicts
    ]
    answers = [answer for answer in answers if len(answer.dependency)]
    if not answers:
        return None
    every = np.concatenate([answer.dependency for answer in answers])
    groups = {
        "all": answers,
        "right": [answer for answer in answers if answer.correct],
        "wrong": [answer for answer in answers if not answer.correct],
    }
    return {
        "answers": len(answers),
        "tokens": len(every),
        "kl_mean": float(every.mean()),
        "half_of_kl": share_of_half(every),
        **{name: _focus(chosen, seed) for name, chosen in groups.items()},
    }


def _answer(row: Mapping[str, Any], scored: Scored) -> _Answer:
    import torch  # only where tokens were scored: other results are read without it

    from ...signals import SIGNALS

    focus = SIGNALS[FOCUS].score(torch.tensor(row[FOCUS], dtype=torch.float64)).numpy()
    return _Answer(scored.item.cluster, bool(scored.correct), np.array(row[DEPENDENCY], dtype=float), focus)


def share_of_half(values: Values) -> float | None:
    """The share of values, largest first, whose sum is half of the total; None if the total is 0."""
    ordered = np.sort(values)[::-1].cumsum()
    if not ordered[-1] > 0:
        return None
    return float(np.searchsorted(ordered, ordered[-1] / 2) + 1) / len(values)


def _focus(answers: Sequence[_Answer], seed: int) -> dict[str, Any]:
    found = [(answer.cluster, half_means(answer.focus)) for answer in answers]
    long = [(cluster, halves) for cluster, halves in found if halves is not None]
    halves = [pair for _, pair in long]
    return {
        "answers": len(answers),
        "focus": _parts(answers),
        "late_over_early": late_over_early(halves),
        "interval": _ratio_interval(halves, [cluster for cluster, _ in long], seed),
    }


def _parts(answers: Sequence[_Answer]) -> list[float | None]:
    """Mean focus in each of ten equal parts, each answer counting once per part it has tokens in."""
    found: list[list[float]] = [[] for _ in range(PARTS)]
    for answer in answers:
        place = np.arange(len(answer.focus)) * PARTS // max(len(answer.focus), 1)
        for part in np.unique(place):
            found[int(part)].append(float(answer.focus[place == part].mean()))
    return [sum(values) / len(values) if values else None for values in found]


def _ratio_interval(halves: Sequence[Halves], clusters: Sequence[str], seed: int) -> list[float] | None:
    """95 % percentile interval of Σ late / Σ early over problems drawn with replacement."""
    names = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    if len(names) < 2:
        return None
    index = [names[cluster] for cluster in clusters]
    early, late = np.array(halves).T
    tops, bottoms = (np.bincount(index, values, minlength=len(names)) for values in (late, early))
    drawn = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    below = bottoms[drawn].sum(1)
    ratios = tops[drawn].sum(1)[below > 0] / below[below > 0]
    return [float(end) for end in np.percentile(ratios, [2.5, 97.5])] if len(ratios) else None
