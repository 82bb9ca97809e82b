"""Intervals, tests and pass@k against scipy, statsmodels and values worked out by hand."""

from __future__ import annotations

import math
import random
from itertools import combinations, product

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint

from sightline.evaluation.statistics.across_runs import (
    across_runs,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)
from sightline.evaluation.statistics.intervals import (
    bootstrap,
    clustered_mean,
    clustered_share,
    proportion,
)
from sightline.evaluation.statistics.noise import assumed, of_one_run, of_two_runs, two_sources
from sightline.evaluation.statistics.paired import detectable, detectable_between, paired, sign_flip
from sightline.evaluation.statistics.paired_shares import (
    Pairs,
    exact_flips,
    mean_of_differences,
    paired_shares,
)
from sightline.evaluation.statistics.pass_at_k import majority_at, pass_at, sizes
from sightline.evaluation.statistics.student_t import quantile, two_sided


def clustered(problems: int, samples: int, seed: int, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """0/1 samples whose chance of being right belongs to their problem."""
    random = np.random.default_rng(seed)
    chance = random.beta(spread, spread, problems)
    values = (random.random((problems, samples)) < chance[:, None]).astype(float)
    return values.ravel(), np.repeat(np.arange(problems), samples)


def test_wilson_against_published_values() -> None:
    """Newcombe (1998), table I: 81 of 263 and 15 of 148, score method without continuity correction."""
    first = proportion([True] * 81 + [False] * 182)
    assert (round(first.low, 4), round(first.high, 4)) == (0.2553, 0.3662)
    second = proportion([True] * 15 + [False] * 133)
    assert (round(second.low, 4), round(second.high, 4)) == (0.0624, 0.1605)


def test_edges_of_a_proportion() -> None:
    none, every = proportion([False] * 20), proportion([True] * 20)
    assert none.low == 0.0
    assert none.high == pytest.approx(0.1611, abs=1e-4)
    assert every.high == 1.0
    assert every.low == pytest.approx(1 - none.high)
    empty = proportion([])
    assert math.isnan(empty.value)
    assert (empty.low, empty.high, empty.n) == (0.0, 1.0, 0)


@pytest.mark.parametrize("freedom", [1, 2, 3, 7, 30, 101, 4999])
def test_student_against_scipy(freedom: int) -> None:
    for t in (0.0, 0.3, 1.96, 4.5, 60.0):
        assert two_sided(t, freedom) == pytest.approx(2 * scipy.stats.t.sf(t, freedom), rel=1e-6, abs=1e-12)
    assert quantile(0.975, freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=1e-9)


def test_cluster_robust_interval_against_statsmodels() -> None:
    values, problems = clustered(150, 1, seed=1)
    sizes = np.random.default_rng(2).integers(1, 9, 150)
    values, problems = np.repeat(values, sizes), np.repeat(problems, sizes)
    values = values + np.random.default_rng(3).normal(0, 0.3, len(values))
    fit = sm.OLS(values, np.ones_like(values)).fit(
        cov_type="cluster", cov_kwds={"groups": problems}, use_t=True
    )
    ours = clustered_mean(values, problems)
    assert ours.standard_error == pytest.approx(fit.bse[0], rel=1e-9)
    assert [ours.low, ours.high] == pytest.approx(fit.conf_int()[0], rel=1e-9)
    assert (ours.n, ours.clusters) == (len(values), 150)


def test_the_order_of_samples_does_not_matter() -> None:
    values, problems = clustered(60, 4, seed=5)
    order = np.random.default_rng(0).permutation(len(values))
    one, other = clustered_share(values, problems), clustered_share(values[order], problems[order])
    assert [one.value, one.low, one.high] == pytest.approx([other.value, other.low, other.high])


def test_bootstrap_against_scipy() -> None:
    values, problems = clustered(200, 8, seed=4)
    means = values.reshape(200, 8).mean(1)
    theirs = scipy.stats.bootstrap(
        (means,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    low, high = bootstrap(values, problems, resamples=20_000, seed=0)
    assert [low, high] == pytest.approx(theirs, rel=0.02)
    assert high - low == pytest.approx(theirs.high - theirs.low, rel=0.02)
    analytic = clustered_mean(values, problems)
    assert high - low == pytest.approx(analytic.high - analytic.low, rel=0.04)


def test_bootstrap_is_seeded_and_draws_whole_clusters() -> None:
    values, problems = clustered(40, 8, seed=6, spread=0.2)
    assert bootstrap(values, problems, seed=3) == bootstrap(values, problems, seed=3)
    assert bootstrap(values, problems, seed=3) != bootstrap(values, problems, seed=4)
    low, high = bootstrap(values, problems)
    alone = bootstrap(values, range(len(values)))
    assert high - low > 1.5 * (alone[1] - alone[0])


@pytest.mark.parametrize(("right", "n"), [(81, 263), (15, 148), (0, 20), (1, 29), (20, 20)])
def test_a_share_of_single_samples_is_clopper_and_pearson_s(right: int, n: int) -> None:
    """Newcombe (1998), table I, exact method: 81 of 263 gives 0.2527 to 0.3676."""
    share = clustered_share([1.0] * right + [0.0] * (n - right), range(n))
    assert [share.low, share.high] == pytest.approx(proportion_confint(right, n, method="beta"), abs=1e-12)
    if n == 263:
        assert (round(share.low, 4), round(share.high, 4)) == (0.2527, 0.3676)


def test_weights_let_every_problem_count_once() -> None:
    """Two samples of one problem and eight of another: the mean of 100 % and 25 %, not 40 %."""
    values, problems = [1.0] * 2 + [1.0] * 2 + [0.0] * 6, ["a"] * 2 + ["b"] * 8
    assert clustered_share(values, problems, [1 / 2] * 2 + [1 / 8] * 8).value == pytest.approx(0.625)
    assert clustered_share(values, problems).value == pytest.approx(0.4)
    one, other = clustered(50, 4, seed=1)
    plain, weighted = clustered_share(one, other), clustered_share(one, other, [0.25] * 200)
    assert [plain.low, plain.high] == pytest.approx([weighted.low, weighted.high], rel=1e-9)


def test_effective_clusters_by_hand() -> None:
    """One cluster of 200 beside nine of 10: 290² / (200² + 9·10²)."""
    values = np.random.default_rng(0).random(290) < 0.5
    clusters = [0] * 200 + [1 + n // 10 for n in range(90)]
    assert clustered_share(values.astype(float), clusters).effective_clusters == pytest.approx(84100 / 40900)


def test_degenerate_shares() -> None:
    """Nothing, one problem, and problems whose samples all agree: never a width of zero."""
    assert math.isnan(clustered_share([], []).value)
    one = clustered_share([1.0, 0.0, 1.0], ["a"] * 3)
    assert (one.low, one.high) == (0.0, 1.0)
    perfect = clustered_share([1.0] * 80, np.repeat(np.arange(10), 8))
    assert perfect.high == 1.0
    assert perfect.low == pytest.approx(
        proportion([True] * 10).low, abs=0.07
    )  # ten problems, not eighty samples
    assert math.isnan(clustered_mean([1.0, 2.0], ["a", "a"]).low)
    with pytest.raises(ValueError, match="2 values but 1 clusters"):
        clustered_mean([1.0, 2.0], ["a"])


@pytest.mark.parametrize(("problems", "samples", "truth"), [(100, 1, 0.3), (60, 8, 0.5), (448, 8, 0.9)])
def test_coverage_of_the_share_s_interval(problems: int, samples: int, truth: float) -> None:
    random = np.random.default_rng(problems)
    rounds, hits = 2000, 0
    spread = 1.5
    for _ in range(rounds):
        chance = random.beta(spread * truth, spread * (1 - truth), problems)
        values = random.random((problems, samples)) < chance[:, None]
        interval = clustered_share(
            values.ravel().astype(float), np.repeat(np.arange(problems), samples).tolist()
        )
        hits += interval.low <= truth <= interval.high
    assert 0.93 <= hits / rounds <= 0.985


@pytest.mark.parametrize(
    ("problems", "samples", "truth", "correlation"),
    [(20, 8, 0.05, 0.5), (100, 8, 0.01, 0.5), (20, 16, 0.03, 0.6), (50, 16, 0.02, 0.1), (20, 8, 0.97, 0.3)],
)
def test_coverage_near_the_edges(problems: int, samples: int, truth: float, correlation: float) -> None:
    """Where few answers are right or few wrong; Wilson's interval covers 60 to 89 % there."""
    draw = np.random.default_rng(problems)
    spread = (1 - correlation) / correlation
    clusters = np.repeat(np.arange(problems), samples).tolist()
    hits = 0
    for _ in range(600):
        chance = draw.beta(spread * truth, spread * (1 - truth), problems)
        values = (draw.random((problems, samples)) < chance[:, None]).ravel().astype(float)
        found = clustered_share(values, clusters)
        hits += found.low <= truth <= found.high
    assert hits / 600 >= 0.93


@pytest.mark.parametrize("sizes", [[4, 6, 10, 20, 40, 80], [200] + [10] * 9, [50] + [1] * 50])
def test_coverage_with_few_and_unequal_clusters(sizes: list[int]) -> None:
    draw = np.random.default_rng(len(sizes))
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    hits = 0
    for _ in range(600):
        chance = draw.beta(0.5, 0.5, len(sizes))
        found = clustered_share(
            (draw.random(len(clusters)) < chance[clusters]).astype(float), clusters.tolist()
        )
        hits += found.low <= 0.5 <= found.high
    assert hits / 600 >= 0.93


def test_coverage_of_a_mean_of_shares() -> None:
    """pass@4 of eight samples: one value in [0, 1] per problem, often 0 or 1."""
    random = np.random.default_rng(12)
    rounds, hits = 1500, 0
    chance = random.beta(0.6, 1.4, 400_000)
    truth = float(np.mean(1 - (1 - chance) ** 4))
    passed = np.array([pass_at(4, 8, right) for right in range(9)])
    for _ in range(rounds):
        values = passed[random.binomial(8, random.choice(chance, 80))]
        found = clustered_share(values.tolist(), range(80))
        assert found.value == pytest.approx(values.mean())
        hits += found.low <= truth <= found.high
    assert 0.93 <= hits / rounds <= 0.985


def test_a_mean_of_shares_stays_between_0_and_1_and_keeps_its_width() -> None:
    few = clustered_share([0.0, 0.5], range(2))
    assert 0 <= few.low < few.value == 0.25 < few.high <= 1
    none = clustered_share([0.0] * 30 + [0.5], range(31))
    assert 0 <= none.low < none.value < none.high < 0.2
    same = clustered_share([0.5] * 40, range(40))
    assert same.low < 0.4 < 0.6 < same.high
    # Ten samples a problem, as shares or one by one: the same figure and about the same interval.
    values, problems = clustered(200, 10, seed=2)
    one, other = (
        clustered_share(values, problems),
        clustered_share(values.reshape(200, 10).mean(1), range(200)),
    )
    assert [one.value, one.low, one.high] == pytest.approx([other.value, other.low, other.high], rel=0.01)


def test_coverage_of_the_bootstrap() -> None:
    random = np.random.default_rng(8)
    rounds, hits, problems = 1000, 0, 150
    clusters = np.repeat(np.arange(problems), 4).tolist()
    for number in range(rounds):
        chance = random.beta(1, 1, problems)
        values = (random.random((problems, 4)) < chance[:, None]).ravel().astype(float)
        low, high = bootstrap(values, clusters, resamples=400, seed=number)
        hits += low <= 0.5 <= high
    assert 0.93 <= hits / rounds <= 0.97


def test_coverage_of_a_paired_difference_and_size_of_its_test() -> None:
    draw = np.random.default_rng(9)
    rounds, hits, rejected = 1500, 0, 0
    for _ in range(rounds):
        chance = draw.beta(1, 1, 120)
        one, other = (draw.random((2, 120, 4)) < chance[:, None]).mean(2)
        found = paired(one - other, range(120), seed=0) if _ < 40 else None
        mean = clustered_mean(one - other, range(120))
        hits += mean.low <= 0 <= mean.high
        if found is not None:
            assert (found.p < 0.05) == (not found.low <= 0 <= found.high)
            rejected += found.p_flip < 0.05
    assert 0.93 <= hits / rounds <= 0.97
    assert rejected <= 7


def test_paired_difference_against_scipy() -> None:
    random = np.random.default_rng(10)
    differences = random.normal(0.05, 0.4, 300).round(3)
    ours = paired(differences, range(300))
    theirs = scipy.stats.ttest_1samp(differences, 0)
    interval = theirs.confidence_interval()
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6)
    assert [ours.low, ours.high] == pytest.approx([interval.low, interval.high], rel=1e-9)
    assert ours.p_flip == pytest.approx(ours.p, rel=0.15)


def test_sign_flips_of_few_problems_are_mcnemar_s_exact_test() -> None:
    """Problems that only one run solves, that only the other does, and any number that agree."""
    for ours, theirs in ((9, 2), (40, 22), (7, 7), (310, 251), (1, 0)):
        differences = [1.0] * ours + [-1.0] * theirs + [0.0] * 500
        exact = scipy.stats.binomtest(ours, ours + theirs).pvalue
        assert sign_flip(differences, range(len(differences))) == pytest.approx(exact, rel=1e-9)


def test_sign_flips_of_unequal_differences_are_all_patterns_or_many_drawn() -> None:
    few = np.random.default_rng(3).normal(0.2, 1, 12)
    signs = np.array(list(product((-1, 1), repeat=12)))
    exact = np.mean(np.abs(signs @ few) >= abs(few.sum()) - 1e-12)
    assert sign_flip(few.tolist(), range(12)) == pytest.approx(exact, rel=1e-9)
    many = np.random.default_rng(4).normal(0.08, 1, 400)
    theirs = scipy.stats.permutation_test(
        (many,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(5)
    ).pvalue
    assert sign_flip(many.tolist(), range(400)) == pytest.approx(theirs, rel=0.12)
    assert sign_flip([0.0] * 10, range(10)) == 1.0


def test_degenerate_differences() -> None:
    same = paired([0.0] * 30, range(30))
    assert (same.value, same.p, same.p_flip) == (0.0, 1.0, 1.0)
    assert math.isnan(paired([0.5], ["a"]).p)
    assert math.isnan(paired([], []).value)


def test_detectable_difference_against_statsmodels() -> None:
    """A share of 50 % on 1,000 problems, against another such run."""
    error = math.sqrt(0.25 / 1000)
    effect = NormalIndPower().solve_power(nobs1=1000, alpha=0.05, power=0.8)
    assert detectable_between(error) == pytest.approx(effect * 0.5, rel=0.02)
    assert detectable(error) == pytest.approx(2.8016 * error, rel=1e-4)
    assert math.isnan(detectable_between(0.0))


def test_pass_at_k_is_the_mean_over_all_subsets() -> None:
    for samples, correct, k in [(8, 3, 1), (8, 3, 4), (8, 0, 8), (8, 8, 1), (5, 1, 5), (6, 2, 5)]:
        outcomes = [True] * correct + [False] * (samples - correct)
        subsets = list(combinations(outcomes, k))
        assert pass_at(k, samples, correct) == pytest.approx(sum(map(any, subsets)) / len(subsets))
    with pytest.raises(ValueError, match="at least 9 samples"):
        pass_at(9, 8, 1)


def test_majority_by_hand() -> None:
    answers, right = ["4", "4", "5", None], [True, True, False, False]
    assert majority_at(4, answers, right) == 1.0
    assert majority_at(1, answers, right) == 0.5
    # Of the six pairs: 4-4 wins, 4-5 ties (twice), 4-None wins (twice), 5-None loses.
    assert majority_at(2, answers, right) == pytest.approx((1 + 2 * 0.5 + 2 * 1 + 0) / 6)
    assert majority_at(3, [None, None, None], [False] * 3) == 0.0
    # Equal answers that are written differently are one when they are right.
    assert majority_at(3, ["1/2", "0.5", "7"], [True, True, False]) == 1.0


def test_majority_of_drawn_subsets_is_seeded() -> None:
    random.seed(0)
    answers = [random.choice("ABCD") for _ in range(32)]
    right = [answer == "A" for answer in answers]
    assert majority_at(8, answers, right, seed=1) == majority_at(8, answers, right, seed=1)
    assert majority_at(16, answers, right, seed=1) == pytest.approx(
        majority_at(16, answers, right, seed=2), abs=0.12
    )


def test_the_k_that_are_reported() -> None:
    assert sizes(1) == [1]
    assert sizes(8) == [1, 2, 4, 8]
    assert sizes(6) == [1, 2, 4, 6]


# --- two runs on the same problems ---------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs", "same"), [(5, 0, 0), (0, 4, 996), (9, 2, 30), (310, 251, 400)])
def test_p_of_single_samples_is_mcnemar_s_exact_test(ours: int, theirs: int, same: int) -> None:
    """Five of five: 0.0625; four to none of a thousand: 0.125."""
    found = paired_shares([1.0] * ours + [-1.0] * theirs + [0.0] * same, range(ours + theirs + same))
    assert found.p == pytest.approx(mcnemar([[0, ours], [theirs, 0]], exact=True).pvalue, rel=1e-9)
    assert found.low < found.value <= found.high or found.value == found.high == 1.0


def test_bonett_and_price_s_interval_by_their_formula() -> None:
    """14 and 5 of 100: p̃12 = 15/102, p̃21 = 6/102; and five of five."""
    found = paired_shares([1.0] * 14 + [-1.0] * 5 + [0.0] * 81, range(100))
    more, less = 15 / 102, 6 / 102
    half = 1.959963984540054 * math.sqrt((more + less - (more - less) ** 2) / 102)
    assert [found.low, found.high] == pytest.approx([more - less - half, more - less + half], rel=1e-12)
    every = paired_shares([1.0] * 5, range(5))
    assert (every.value, every.high) == (1.0, 1.0)
    assert every.low == pytest.approx(5 / 7 - 1.959963984540054 * math.sqrt((1 - 25 / 49) / 7))


def test_exact_flips_of_several_samples_are_all_patterns() -> None:
    sums = np.random.default_rng(3).integers(-8, 9, 12) / 8
    signs = np.array(list(product((-1, 1), repeat=12)))
    assert exact_flips(sums) == pytest.approx(np.mean(np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12))
    thirds = np.array([1 / 3, 1 / 7, -1 / 2, 1 / 3, 0.0])
    signs = np.array(list(product((-1, 1), repeat=4)))
    exact = np.mean(np.abs(signs @ thirds[:4]) >= abs(thirds.sum()) - 1e-12)
    assert exact_flips(thirds) == pytest.approx(exact)
    many = np.random.default_rng(4).normal(0.05, 1, 300)
    assert exact_flips(many) == pytest.approx(scipy.stats.ttest_1samp(many, 0).pvalue, abs=0.03)


@pytest.mark.parametrize(("problems", "samples", "discordant"), [(200, 1, 0.02), (30, 1, 0.1), (40, 8, 0.1)])
def test_coverage_of_a_difference_with_few_that_differ(
    problems: int, samples: int, discordant: float
) -> None:
    draw = np.random.default_rng(problems + samples)
    rounds, hits, rejected = 800, 0, 0
    for _ in range(rounds):
        either = draw.random(problems) < discordant
        chance = np.where(either, 0.5, draw.random(problems) < 0.5)
        one, other = (draw.random((2, problems, samples)) < chance[:, None]).mean(2)
        found = paired_shares((one - other).tolist(), range(problems))
        hits += found.low <= 0 <= found.high
        rejected += found.p < 0.05
    assert hits / rounds >= 0.93
    assert rejected / rounds <= 0.065


def test_shared_problems_are_clustered_across_benchmarks() -> None:
    """A set and its half: the standard error is that of the weighted problems, not of two draws."""
    draw = np.random.default_rng(6)
    gaps = draw.choice([-1.0, 0.0, 1.0], 400, p=[0.2, 0.5, 0.3])
    whole, half = Pairs(gaps.tolist(), range(400)), Pairs(gaps[:200].tolist(), range(200))
    apart = Pairs(gaps[:200].tolist(), range(1000, 1200))
    shared, taken_apart = (mean_of_differences([whole, other]) for other in (half, apart))
    weights = np.where(np.arange(400) < 200, 1 / 400 + 1 / 200, 1 / 400) / 2
    residuals = np.where(np.arange(400) < 200, (gaps - gaps.mean()) / 400 + (gaps - gaps[:200].mean()) / 200,
                         (gaps - gaps.mean()) / 400) / 2  # fmt: skip
    assert shared["value"] == pytest.approx(float(gaps @ weights))
    width = 2 * 1.96 * math.sqrt(float(residuals @ residuals))
    assert shared["high"] - shared["low"] == pytest.approx(width, rel=0.03)
    assert shared["high"] - shared["low"] > 1.15 * (taken_apart["high"] - taken_apart["low"])
    assert (shared["clusters"], taken_apart["clusters"]) == (400, 600)
    assert mean_of_differences([whole, Pairs([1.0], ["a"])])["low"] is None


# --- two sources of noise ------------------------------------------------------------------------------


def test_two_sources_of_noise_are_found_again() -> None:
    """Problems of chance Beta(2, 2): Var of chances 1/20, mean p(1−p) = 1/5."""
    draw = np.random.default_rng(1)
    right = draw.binomial(4, draw.beta(2, 2, 20_000))
    values, problems = np.repeat(right / 4, 1), range(20_000)
    found = two_sources(
        [(int(c), 4) for c in right], clustered_share(values.tolist(), problems).standard_error
    )
    assert found is not None
    assert found.question_variance == pytest.approx(1 / 20, rel=0.05)
    assert found.sampling_variance == pytest.approx(1 / 5, rel=0.02)
    assert found.standard_error**2 == pytest.approx(found.questions**2 + found.sampling**2)
    assert found.another_sample**2 == pytest.approx((1 / 20 + 1 / 25) / 20_000, rel=0.05)
    assert two_sources([(1, 1), (0, 1)], 0.1) is None


def test_a_plan_has_the_power_it_promises() -> None:
    """Two models whose chances correlate: the planned number of problems finds the difference in 80 %."""
    draw = np.random.default_rng(2)
    noise = assumed(0.5, 0.8, 0.0)  # chances vary by 0.05 over problems, independently; σ² = 0.2
    problems = noise.problems(0.1, 4)
    assert problems == math.ceil((1.959964 + 0.841621) ** 2 * (0.1 + 0.4 / 4) / 0.01)
    found = 0
    for _ in range(600):
        # Beta(2, 2) has mean 1/2 and variance 1/20; A is moved down and B up by 5 points.
        chances = np.clip(draw.beta(2, 2, (2, problems)) + np.array([[-0.05], [0.05]]), 0, 1)
        a, b = draw.binomial(4, chances) / 4
        found += paired_shares((b - a).tolist(), range(problems)).p < 0.05
    assert 0.74 <= found / 600 <= 0.87
    assert noise.detectable(problems, 4) == pytest.approx(0.1, rel=0.01)


def test_a_plan_from_runs() -> None:
    run = two_sources([(c % 5, 4) for c in range(100)], 0.04)
    assert run is not None
    alone = of_one_run(run, 0.5)
    assert alone.questions == pytest.approx(run.question_variance)
    assert alone.sampling == pytest.approx(2 * run.sampling_variance)
    both = of_two_runs(run, run, 0.05)
    assert both.questions == pytest.approx(0.05**2 * 100 - 2 * run.sampling_variance / 4)


# --- several runs --------------------------------------------------------------------------------------


def test_the_published_formulas_over_runs_and_benchmarks() -> None:
    ours, theirs = np.array([[0.1, 0.5], [0.3, 0.7]]), np.array([[0.2, 0.7], [0.4, 0.8]])
    random = np.random.default_rng(0).random((5, 7))
    assert interquartile_mean(random) == pytest.approx(scipy.stats.trim_mean(random, 0.25, axis=None))
    u = [scipy.stats.mannwhitneyu(theirs[:, k], ours[:, k]).statistic / 4 for k in range(2)]
    assert probability_of_improvement(theirs, ours) == pytest.approx(np.mean(u))
    assert performance_profile(ours, [0.0, 0.3, 0.6]) == [1.0, 0.5, 0.25]
    found = across_runs(ours, theirs)
    assert found == across_runs(ours, theirs)
    gap = found["interquartile_mean"]["difference"]
    assert gap["value"] == pytest.approx(0.55 - 0.4)
    assert gap["low"] <= gap["value"] <= gap["high"]
