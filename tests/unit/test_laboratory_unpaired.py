"""Unpaired comparisons and the two sources of noise against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sightline.analysis.readers.metrics import Metrics
from sightline.evaluation.run.answer_and_grade import AnsweredProblems
from sightline.evaluation.statistics.across_runs import probability_of_improvement
from sightline.laboratory.results.records import Record
from sightline.laboratory.results.summary import _sources
from sightline.laboratory.results.unpaired import against, middle_mean, profiles, two_sources, welch
from sightline.laboratory.study.held_out import read_rights, rights
from sightline.rewards import Verdict


def test_welch_is_what_the_textbook_has() -> None:
    """Means 20.82 and 22.98, the example of Welch's test with unequal variances and sizes."""
    ours = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
    theirs = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4]
    found = welch(ours, theirs)
    assert found is not None
    assert found["freedom"] == pytest.approx(25.0, abs=0.05)
    assert found["value"] == pytest.approx(20.82 - 22.987, abs=1e-3)
    assert found["p"] == pytest.approx(0.021, abs=5e-4)
    assert found["low"] < found["value"] < found["high"] < 0


def test_welch_of_equal_sizes_and_variances_is_the_pooled_t_test() -> None:
    """t = −2/√(1 + 1)·√3/… by hand: variances 1, n = 3, se = √(2/3), ν = 4, t = −2.449, p = .0705."""
    found = welch([1.0, 2.0, 3.0], [3.0, 4.0, 5.0])
    assert found is not None
    assert found["freedom"] == pytest.approx(4)
    assert found["p"] == pytest.approx(0.0705, abs=1e-4)
    assert found["high"] == pytest.approx(-2 + 2.7764 * (2 / 3) ** 0.5, abs=1e-4)


def test_too_few_runs_have_neither() -> None:
    assert welch([1.0], [2.0, 3.0]) is None
    assert welch([1.0, 1.0], [2.0, 2.0]) is None
    assert against([0.1], [0.2, 0.3]) is None
    assert middle_mean([0.1, 0.2, 0.3]) is None
    assert two_sources(np.ones((1, 5))) is None


def test_the_middle_leaves_a_quarter_out_at_either_end() -> None:
    found = middle_mean([0.0, 0.4, 0.5, 0.6, 0.7, 0.2, 0.3, 9.0])
    assert found is not None
    assert found["value"] == pytest.approx(np.mean([0.3, 0.4, 0.5, 0.6]))
    assert found["low"] < found["value"] < found["high"]


def test_the_chance_of_a_better_run_counts_ties_by_half() -> None:
    found = against([0.5, 0.6], [0.5, 0.4, 0.7])
    assert found is not None
    assert found["improvement"]["value"] == pytest.approx((0.5 + 1 + 0 + 1 + 1 + 0) / 6)
    ours, theirs = np.array([[0.5], [0.6]]), np.array([[0.5], [0.4], [0.7]])
    assert found["improvement"]["value"] == pytest.approx(probability_of_improvement(ours, theirs))
    assert 0 <= found["improvement"]["low"] < found["improvement"]["high"] <= 1


def test_profiles_fall_from_all_runs_to_none() -> None:
    found = profiles({"a": [0.2, 0.4], "b": [0.6, 0.3]})
    assert found["thresholds"][0] == pytest.approx(0.2)
    assert found["thresholds"][-1] == pytest.approx(0.6)
    assert found["shares"]["a"][0] == 0.5 and found["shares"]["b"][0] == 1.0
    assert found["shares"]["a"][-1] == found["shares"]["b"][-1] == 0.0
    assert profiles({})["thresholds"] == []


def test_the_two_sources_by_hand() -> None:
    """Rows 0 and 2 (means 0, 2), no spread over problems: all noise is of training, se = √(MS_s/SP) = 1."""
    found = two_sources(np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]]))
    assert found is not None
    assert found["value"] == pytest.approx(1)
    assert found["training"] == pytest.approx(1)
    assert found["problems"] == pytest.approx(0)
    assert found["both"] == pytest.approx(1)
    turned = two_sources(np.array([[0.0, 2.0], [0.0, 2.0]]))
    assert turned is not None
    assert (turned["training"], turned["problems"]) == (pytest.approx(0), pytest.approx(1))


def test_the_two_sources_are_those_of_a_known_model() -> None:
    """Seeds spread by .02, problems by .3, answers by .4: standard errors of 8 seeds on 200 problems."""
    random, found = np.random.default_rng(0), []
    for _ in range(150):
        seeds, problems = random.normal(0, 0.02, (8, 1)), random.normal(0, 0.3, (1, 200))
        found.append(two_sources(seeds + problems + random.normal(0, 0.4, (8, 200))))
    error = np.mean([one["both"] ** 2 for one in found if one])
    assert error == pytest.approx(0.02**2 / 8 + 0.3**2 / 200 + 0.4**2 / 1600, rel=0.1)
    spread = np.std([one["value"] for one in found if one])
    assert spread == pytest.approx(error**0.5, rel=0.2)


def verdicts(*right: bool | None) -> AnsweredProblems:
    return AnsweredProblems([], [], [Verdict(one, "x", "text", None) for one in right])


def test_a_problem_with_an_answer_that_was_not_judged_has_a_mark_of_its_own() -> None:
    assert rights(verdicts(True, False, None, True), 1) == "10?1"
    assert rights(verdicts(True, True, None, True, False, False), 2) == "2?0"
    assert rights(verdicts(*[True] * 11, *[None] * 11), 11) == "11 ?"
    assert read_rights("2?0") == pytest.approx([2, math.nan, 0], nan_ok=True)
    assert read_rights("11 ? 3") == pytest.approx([11, math.nan, 3], nan_ok=True)


def test_the_two_sources_are_of_problems_that_were_judged() -> None:
    """Differences 0 0 0 and 2 2 2 of three judged problems, a fourth judged in one run only."""

    def run(seed: int, text: str) -> Record:
        nothing = Metrics(np.zeros(0), {})
        return Record("arm", seed, nothing, nothing, {}, {"sampled": read_rights(text)})

    found = _sources([run(0, "000?"), run(1, "2222")], [run(0, "0000"), run(1, "0000")], "sampled", 1)
    assert found == two_sources(np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]]))
    assert _sources([run(0, "0?"), run(1, "1?")], [run(0, "00"), run(1, "00")], "sampled", 1) is None
