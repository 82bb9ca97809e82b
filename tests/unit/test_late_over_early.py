"""One definition of the late/early ratio: each answer counts once, wherever it is shown."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from evaluation_fixtures import generation, item, results_folder

from sightline.analysis.readers.samples import SavedAnswer
from sightline.analysis.tokens.score_statistics import late_over_early as shown
from sightline.evaluation.run.grading import score
from sightline.evaluation.run.jsonl_records import append_lines
from sightline.evaluation.tokens.token_summaries import dependence
from sightline.late_over_early import half_means, late_over_early
from sightline.methods import method, statistics

FOCUS = [[0.8, -0.6], [0.2, 0.9], [-0.5, 0.1, 0.3], [0.9, 0.7, 0.8, 0.6, -0.9, -0.8, -0.7, -0.6]]
"""Cosines; the long answer, whose focus falls, would decide a mean over tokens."""
EARLY, LATE = [0.9, 0.6, 0.25, 0.875], [0.2, 0.95, 0.65, 0.125]
"""Means of the halves, of (S + 1) / 2."""


def test_each_answer_counts_once_and_a_middle_token_in_neither_half() -> None:
    halves = [half_means([(value + 1) / 2 for value in row]) for row in FOCUS]
    assert halves == [pytest.approx(pair) for pair in zip(EARLY, LATE, strict=True)]
    assert late_over_early([pair for pair in halves if pair]) == pytest.approx(sum(LATE) / sum(EARLY))
    tokens = (0.2 + 0.95 + 0.65 + 4 * 0.125) / (0.9 + 0.6 + 0.25 + 4 * 0.875)
    assert late_over_early([pair for pair in halves if pair]) != pytest.approx(tokens, rel=0.2)


def test_what_has_no_halves_takes_no_part() -> None:
    assert half_means([]) is None
    assert half_means([0.5]) is None
    assert half_means([math.nan, 1.0]) is None
    assert half_means([math.nan, 1.0, 0.0, 3.0]) == (1.0, 1.5)
    assert late_over_early([]) is None
    assert late_over_early([(0.0, 1.0)]) is None


def test_training_evaluation_and_inspection_give_the_same_number(tmp_path: Path) -> None:
    wanted = pytest.approx(sum(LATE) / sum(EARLY), rel=1e-6)
    told = [SavedAnswer("", None, (), {"visual_focus": tuple(row)}) for row in FOCUS]
    assert shown(told, "visual_focus").value == wanted

    scores = torch.zeros(4, 8)
    mask = torch.zeros(4, 8)
    for index, row in enumerate(FOCUS):
        scores[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    vgpo = method("vgpo")
    weights = vgpo.weights(scores, mask, [0, 0, 1, 1])
    logged = statistics(vgpo, scores, weights, mask, [0, 0, 1, 1])
    assert logged["scores/visual_focus/late_over_early"] == wanted

    items = [item(index) for index in range(4)]
    folder = results_folder(tmp_path, items, [generation(one, "\\boxed{4}") for one in items])
    rows = [
        {"benchmark": "toy", "sample": 0, "problem": f"toy/{index}", "exact_kl": [1.0] * len(row),
         "visual_focus": row}
        for index, row in enumerate(FOCUS)
    ]  # fmt: skip
    append_lines(folder.token_scores, rows)
    found = dependence(folder, "toy", score(folder, "strict"))
    assert found is not None
    assert found["all"]["late_over_early"] == wanted
