"""Shapings where they are delicate: ties, counts, constant rows, positions, blocks of rows."""

import pytest
import torch

from sightline import masked, shaping
from sightline.errors import UserError

RANGE = {"min_range": 1e-6}


def row(*values):
    return torch.tensor([values], dtype=torch.float64)


def ones(scores):
    return torch.ones_like(scores, dtype=torch.long)


def test_counts_are_rounded_before_they_are_cut():
    scores = torch.rand(1, 90, generator=torch.Generator().manual_seed(0))
    assert shaping.top_fraction(scores, ones(scores), keep=0.7).sum() == 63


def test_ties_keep_the_earlier_token():
    scores = row(1.0, 2.0, 1.0, 1.0, 2.0)
    assert shaping.top_fraction(scores, ones(scores), keep=0.6).tolist() == [[1, 1, 0, 0, 1]]
    flat = row(3.0, 3.0, 3.0, 3.0)
    assert shaping.top_fraction(flat, ones(flat), keep=0.5).tolist() == [[1, 1, 0, 0]]


def test_padding_never_takes_a_place():
    scores, mask = row(5.0, 0.0, 9.0, 0.0), torch.tensor([[0, 1, 0, 1]])
    assert shaping.top_fraction(scores, mask, keep=0.5).tolist() == [[0, 1, 0, 0]]
    assert shaping.top_mass(scores, mask, share=0.5, **RANGE).tolist() == [[0, 1, 0, 1]]


def test_the_union_keeps_what_either_keeps():
    first, second = row(9.0, 1.0, 1.0, 1.0, 1.0), row(0.0, 0.0, 0.0, 0.0, 7.0)
    both = shaping.top_fraction_union(first, second, ones(first), keep=0.2, other_keep=0.2)
    assert both.tolist() == [[1, 0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("share", "kept"), [(0.5, [0, 1, 0, 0]), (0.6, [0, 1, 0, 0]), (0.61, [0, 1, 0, 1]), (1.0, [1, 1, 0, 1])]
)
def test_top_mass_keeps_the_fewest_tokens_that_hold_the_share(share, kept):
    scores = row(1.0, 6.0, 0.0, 3.0)
    assert shaping.top_mass(scores, ones(scores), share=share, **RANGE).tolist() == [kept]


def test_top_mass_keeps_all_of_a_constant_row():
    scores = torch.zeros(1, 3)
    assert shaping.top_mass(scores, ones(scores), share=0.1, **RANGE).tolist() == [[1, 1, 1]]


def test_saturation_gives_half_at_its_level_and_never_more_than_one():
    scores, mask = row(0.0, 0.1, 0.3, 1e30, 5.0), torch.tensor([[1, 1, 1, 1, 0]])
    weights = shaping.saturated(scores, mask, level=0.1)
    torch.testing.assert_close(weights, row(0.0, 0.5, 0.75, 1.0, 0.0))


def test_saturation_may_leave_a_floor_for_what_does_not_depend():
    scores, mask = row(0.0, 0.1, 0.3, 1e30, 5.0), torch.tensor([[1, 1, 1, 1, 0]])
    weights = shaping.saturated(scores, mask, level=0.1, floor=0.2)
    torch.testing.assert_close(weights, row(0.2, 0.6, 0.8, 1.0, 0.0))
    assert shaping.saturated(scores, mask, level=0.1, floor=1.0).tolist() == mask.tolist()


def test_saturation_weighs_a_token_by_itself():
    scores = torch.rand(3, 6, generator=torch.Generator().manual_seed(2))
    whole = shaping.saturated(scores, ones(scores), level=0.2)
    other = shaping.saturated(torch.where(scores > 0.5, 100.0, scores), ones(scores), level=0.2)
    assert (whole == other)[scores <= 0.5].all()
    order = scores.flatten().argsort()
    assert (whole.flatten()[order].diff() > 0).all()


def test_progress_counts_valid_tokens_only():
    mask = torch.tensor([[0, 1, 1, 1, 1, 0]])
    assert shaping.progress(mask, schedule="linear").tolist() == [[0, 0.25, 0.5, 0.75, 1, 0]]
    assert shaping.progress(mask, schedule="step").tolist() == [[0, 0, 1, 1, 1, 0]]
    squares = shaping.progress(mask, schedule="exponential")
    assert squares.tolist() == [[0, 0.0625, 0.25, 0.5625, 1, 0]]
    from_zero = shaping.progress(mask, schedule="linear", from_zero=True)
    torch.testing.assert_close(from_zero, torch.tensor([[0, 0, 1 / 3, 2 / 3, 1, 0]]))


def test_the_late_gate_reads_the_tail_alone_and_lets_ties_pass():
    scores = row(9.0, 9.0, 9.0, 9.0, 9.0, 1.0, 3.0, 2.0, 3.0, 1.0)
    passed = shaping.late_and_high(scores, ones(scores), tail=0.5, top=0.2)
    assert passed.long().tolist() == [[0, 0, 0, 0, 0, 0, 1, 0, 1, 0]]


def test_no_tail_raises_nothing():
    scores = row(1.0, 2.0, 3.0)
    assert not shaping.late_and_high(scores, ones(scores), tail=0.0, top=1.0).any()


def test_the_dynamic_bound_makes_the_mean_one():
    scores = torch.rand(7, 5, generator=torch.Generator().manual_seed(1))
    weights = shaping.trajectory_weights(scores, ones(scores), scale_min=0.9, scale_max=None, **RANGE)
    assert weights[:, 0].mean().item() == pytest.approx(1.0)
    assert weights.min().item() == pytest.approx(0.9)


def test_a_micro_batch_at_the_bottom_of_its_mini_batch_gets_the_lower_bound():
    """VPPO's code on row means .1, .5, .9, .4, one row a micro-batch."""
    scores = torch.tensor([[0.1], [0.5], [0.9], [0.4]])
    blocks = {"minibatch": 4, "microbatch": 1, **RANGE}
    alpha = shaping.trajectory_weights(scores, ones(scores), scale_min=0.9, scale_max=None, **blocks)
    torch.testing.assert_close(alpha[:, 0], torch.tensor([0.9, 1.0, 1.0, 1.0]))


def test_padding_as_zero_shifts_positive_scores_only_to_zero():
    """VGPO's code on a batch whose last place is padded; without padding the smallest score is 0."""
    scores = torch.tensor([[0.4, 0.5, 0.6], [0.5, 0.2, 0.45]])
    padded = torch.tensor([[1, 1, 1], [1, 1, 0]])
    for mask, low in ((padded, 0.0), (ones(scores), 0.2)):
        scaled = shaping.batch_min_max(scores, mask, padding_as_zero=True, **RANGE)
        torch.testing.assert_close(scaled, (scores - low) / (0.6 - low) * mask)
    negative = scores - 0.3
    torch.testing.assert_close(
        shaping.batch_min_max(negative, padded, padding_as_zero=True, **RANGE),
        shaping.batch_min_max(negative, padded, **RANGE),
    )


def test_rows_without_tokens_do_not_move_the_trajectory_scale():
    scores = torch.tensor([[1.0, 1.0], [3.0, 3.0], [100.0, 100.0]])
    mask = torch.tensor([[1, 1], [1, 0], [0, 0]])
    weights = shaping.trajectory_weights(scores, mask, scale_min=0.5, scale_max=1.5, **RANGE)
    torch.testing.assert_close(weights, torch.tensor([[0.5, 0.5], [1.5, 0.0], [0.0, 0.0]]))


def test_one_rollout_or_equal_ones_keep_scale_one():
    for rows in (1, 3):
        scores = torch.full((rows, 2), 0.7)
        for bound in (None, 1.5):
            weights = shaping.trajectory_weights(
                scores, ones(scores), scale_min=0.5, scale_max=bound, **RANGE
            )
            assert (weights == 1).all()


def test_a_longer_response_gets_a_larger_rollout_weight():
    scores = torch.ones(2, 4)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    weights = shaping.centered_rollout_weights(scores, mask, torch.tensor([5, 5]), **RANGE)
    torch.testing.assert_close(weights, torch.tensor([[1.5] * 4, [0.5, 0.5, 0.0, 0.0]]))


def test_a_group_of_one_is_constant():
    weights = shaping.centered_rollout_weights(torch.ones(1, 2), torch.ones(1, 2), torch.tensor([9]), **RANGE)
    assert weights.tolist() == [[1, 1]]


def test_the_gate_is_continuous_at_its_threshold_and_reaches_one_plus_boost():
    scores = torch.linspace(0, 1, 1001, dtype=torch.float64)[None].expm1()
    weights = shaping.mass_conserving_gate(scores, ones(scores), threshold=0.4, boost=2.0, **RANGE)[0]
    assert (weights.diff() >= 0).all()
    assert weights.diff().max() < 0.01
    assert (weights[-1] / weights[400]).item() == pytest.approx(3.0, abs=1e-5)
    assert weights[0] == 0
    assert weights.mean().item() == pytest.approx(1.0)


def test_gate_statistics_are_those_of_the_gate():
    scores = row(0.0, 0.0, 0.0, 1.0)
    found = dict(scores=scores, mask=ones(scores), threshold=0.4, boost=2.0, **RANGE)
    weights = shaping.mass_conserving_gate(**found)
    numbers = shaping.mass.gate_statistics(**found)
    assert numbers["share_at_threshold"] == 0.25
    assert numbers["mass_factor_max"] == pytest.approx(weights.max().item() / 3.0)


def test_a_range_up_to_the_bound_is_constant():
    scores = row(0.5, 0.5 + 1e-6, 0.5)
    near, far = ({"min_range": bound} for bound in (1.1e-6, 0.9e-6))
    assert (shaping.centered_token_weights(scores, ones(scores), **near) == 1).all()
    assert (shaping.centered_token_weights(scores, ones(scores), **far) != 1).any()


@pytest.mark.parametrize("name", ["row_mean", "row_sum", "row_min", "row_max", "row_range"])
def test_row_reductions_never_read_padding_and_give_zero_without_tokens(name):
    values = torch.tensor([[2.0, float("nan"), -1.0], [float("inf")] * 3])
    mask = torch.tensor([[1, 0, 1], [0, 0, 0]])
    expected = {"row_mean": 0.5, "row_sum": 1.0, "row_min": -1.0, "row_max": 2.0, "row_range": 3.0}[name]
    assert getattr(masked, name)(values, mask).tolist() == [expected, 0.0]
    assert getattr(masked, name)(values[:, :0], mask[:, :0]).tolist() == [0.0, 0.0]


def test_group_reductions_are_by_name_and_over_counted_rows():
    values = torch.tensor([1.0, 10.0, 3.0, float("nan"), 7.0])
    groups, rows = torch.tensor([4, -1, 4, 4, 0]), torch.tensor([True, True, True, False, False])
    assert masked.group_mean(values, groups, rows).tolist() == [2, 10, 2, 2, 0]
    assert masked.group_max(values, groups, rows).tolist() == [3, 10, 3, 3, 0]
    assert masked.group_min(values, groups, rows).tolist() == [1, 10, 1, 1, 0]
    assert masked.group_count(groups, rows).tolist() == [2, 1, 2, 2, 0]
    assert masked.group_mean(values[:0], groups[:0], rows[:0]).shape == (0,)


def test_lengths_of_half_precision_masks_are_exact():
    assert masked.lengths(torch.ones(1, 2049, dtype=torch.bfloat16)).item() == 2049


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: shaping.shaping("top_fractoin", "entropy", keep=0.4), "did you mean top_fraction"),
        (lambda: shaping.shaping("top_fraction", "entropy", keeps=0.4), "did you mean keep"),
        (lambda: shaping.shaping("top_fraction", "entropy"), "needs keep"),
        (lambda: shaping.shaping("top_fraction", "entropy", keep=0), r"\(0, 1\]"),
        (lambda: shaping.shaping("top_fraction", "entropy", keep=True), "a number"),
        (lambda: shaping.shaping("top_fraction_union", "entropy", keep=0.4, other_keep=0.2), "2 signal"),
        (lambda: shaping.shaping("top_fraction", ["entropy", "exact_kl"], keep=0.4), "1 signal"),
        (lambda: shaping.adjustment("late_compensation", strength=0.3), "needs tail, top, schedule, gate"),
        (
            lambda: shaping.shaping("trajectory_weights", "entropy", scale_min=0.9, scale_max=0.5),
            "at least scale_min",
        ),
        (
            lambda: shaping.shaping("trajectory_weights", "entropy", scale_min=1.1, scale_max=None),
            r"\[0, 1\] with the dynamic",
        ),
        (
            lambda: shaping.shaping("centered_token_weights", "entropy", low=2.0, high=1.0),
            "high must be at least low",
        ),
    ],
)
def test_mistakes_are_named(build, message):
    with pytest.raises(UserError, match=message):
        build()
