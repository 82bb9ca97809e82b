"""Paired differences over seeds, Holm's correction, power, and a null study."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from sightline.laboratory.results.paired import holm, mean_over_seeds, null_share, paired_over_seeds
from sightline.laboratory.results.power import detectable, power, seeds_needed


def test_differences_are_paired_by_seed() -> None:
    random = np.random.default_rng(0)
    theirs = {seed: float(value) for seed, value in enumerate(random.normal(0.4, 0.05, 9))}
    ours = {seed: value + float(random.normal(0.01, 0.01)) for seed, value in theirs.items()}
    del ours[3], theirs[5]
    found = paired_over_seeds(ours, theirs)
    seeds = [0, 1, 2, 4, 6, 7, 8]
    expected = stats.ttest_rel([ours[s] for s in seeds], [theirs[s] for s in seeds])
    assert found is not None
    assert found["seeds"] == 7
    assert found["p"] == pytest.approx(expected.pvalue, abs=1e-9)
    interval = expected.confidence_interval()
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_fewer_than_two_seeds_have_a_value_and_no_p() -> None:
    found = paired_over_seeds({0: 0.5}, {0: 0.4})
    assert found is not None
    assert found["value"] == pytest.approx(0.1)
    assert found["p"] is found["low"] is found["p_flip"] is None
    assert paired_over_seeds({0: 0.5}, {1: 0.4}) is None
    assert math.isnan(mean_over_seeds([0.5])["low"])


def test_equal_differences_are_not_significant() -> None:
    """Two seeds on few problems often differ by exactly as much: no spread is no evidence."""
    found = paired_over_seeds({0: 0.5, 1: 0.6}, {0: 0.4375, 1: 0.5375})
    assert found is not None
    assert found["p"] is None or found["p"] > 0.4


def test_holm_is_that_of_statsmodels() -> None:
    random = np.random.default_rng(1)
    for count in (1, 2, 5, 12):
        values = random.uniform(0, 0.2, count).tolist()
        assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])
    assert holm([0.01, None, 0.03]) == pytest.approx([0.02, None, 0.03])


@pytest.mark.parametrize("seeds", [2, 3, 8, 40])
@pytest.mark.parametrize("effect", [1e-9, 0.3, 1.0, 2.5])
def test_power_is_that_of_statsmodels(seeds: int, effect: float) -> None:
    expected = TTestPower().power(effect, seeds, 0.05) if effect * seeds**0.5 < 12 else 1.0
    assert power(effect, seeds) == pytest.approx(expected, abs=1e-3)


def test_detectable_and_needed_seeds_belong_together() -> None:
    spread = 0.02
    for seeds in (4, 8, 16):
        difference = detectable(spread, seeds)
        assert power(difference / spread, seeds) == pytest.approx(0.8, abs=1e-4)
        assert seeds_needed(spread, difference * 1.0001) == seeds
    assert seeds_needed(spread, 1e-6) is None
    assert math.isnan(detectable(spread, 1))


def test_one_arm_against_itself_is_rarely_significant() -> None:
    """Simulated arms of 16 runs: resampled null studies reject as often as they may, 5 %."""
    random = np.random.default_rng(2)
    shares = []
    for _ in range(40):
        found = null_share(random.normal(0.4, 0.02, 16).tolist(), studies=100)
        assert found is not None
        assert found["pairs"] == 8
        shares.append((found["share_p"], found["share_p_flip"]))
    t_test, flips = np.mean(shares, axis=0)
    assert t_test < 0.065  # 0.05 plus three standard errors of 4000 dependent studies
    assert flips < 0.06
    assert null_share([0.4, 0.5, 0.6, 0.45, 0.55, 0.5, 0.48]) is None


def test_the_null_check_notices_a_test_that_rejects_too_often() -> None:
    """At a level of 30 % about 30 % are found: the check counts rejections and does not hide them."""
    values = np.random.default_rng(3).normal(0.4, 0.02, 20).tolist()
    found = null_share(values, level=0.3)
    assert found is not None
    assert 0.2 < found["share_p"] < 0.4
