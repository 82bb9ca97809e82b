"""Intervals against known values."""

from __future__ import annotations

import math
import random

import pytest

from sightline.evaluation.statistics import proportion


def test_wilson_against_published_values() -> None:
    """Newcombe (1998), table I: 81 of 263 and 15 of 148, score method without continuity correction."""
    first = proportion([True] * 81 + [False] * 182)
    assert (round(first.low, 4), round(first.high, 4)) == (0.2553, 0.3662)
    second = proportion([True] * 15 + [False] * 133)
    assert (round(second.low, 4), round(second.high, 4)) == (0.0624, 0.1605)


def test_edges() -> None:
    none, every = proportion([False] * 20), proportion([True] * 20)
    assert none.low == 0.0
    assert none.high == pytest.approx(0.1611, abs=1e-4)
    assert every.high == 1.0
    assert every.low == pytest.approx(1 - none.high)
    empty = proportion([])
    assert math.isnan(empty.value)
    assert (empty.low, empty.high, empty.n) == (0.0, 1.0, 0)


def test_coverage_of_the_interval() -> None:
    draw = random.Random(0)
    truth, hits, rounds = 0.3, 0, 2000
    for _ in range(rounds):
        interval = proportion([draw.random() < truth for _ in range(100)])
        hits += interval.low <= truth <= interval.high
    assert 0.93 <= hits / rounds <= 0.97
