"""Advantages, group selection, loss terms, and the algebra that lets a weight act on the advantage."""

import pytest
import torch

from sightline import objectives
from sightline.errors import UserError
from sightline.objectives import OBJECTIVES, GroupSelection, Objective, objective


def test_advantages_are_centred_and_scaled_by_the_unbiased_deviation():
    rewards, groups = torch.tensor([1.0, 0.0, 1.0, 0.5, 0.0, 1.0]), torch.tensor([3, 8, 3, 3, 8, 3])
    advantages = objectives.group_advantages(rewards, groups)
    own = torch.tensor([1.0, 1.0, 0.5, 1.0])
    expected = (own - own.mean()) / (own.std() + 1e-6)
    torch.testing.assert_close(advantages[groups == 3], expected)
    assert (advantages[groups == 8] == 0).all()


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("reward", [0.1, 1 / 3, 1e6 + 0.3])
def test_equal_rewards_give_exactly_zero(scale, reward):
    rewards = torch.full((7,), reward)
    assert (objectives.group_advantages(rewards, torch.zeros(7, dtype=torch.long), scale) == 0).all()


def test_a_group_of_one_gives_zero_and_scaling_is_optional():
    rewards, groups = torch.tensor([1.0, 0.0, 4.0]), torch.tensor([1, 1, 2])
    assert objectives.group_advantages(rewards, groups, scale=False).tolist() == [0.5, -0.5, 0.0]
    assert objectives.group_advantages(rewards, groups)[2] == 0


def test_integer_rewards_are_allowed():
    assert objectives.group_advantages(torch.tensor([1, 0]), torch.tensor([1, 1])).tolist() == pytest.approx(
        [2**-0.5, -(2**-0.5)], rel=1e-5
    )


def test_overlong_penalty_is_linear_in_the_buffer():
    lengths = torch.tensor([0, 70, 80, 90, 100, 130])
    penalties = objectives.overlong_penalty(lengths, 100, 20)
    torch.testing.assert_close(penalties, torch.tensor([0.0, 0.0, 0.0, -0.5, -1.0, -1.0]))


def test_informative_groups_are_neither_all_right_nor_all_wrong():
    rewards, groups = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0, 0.0]), torch.tensor([1, 1, 2, 2, 3, 3])
    assert objectives.informative_groups(rewards, groups).tolist() == [False, False, True, True, False, False]


def test_perception_kl_is_k3_of_the_text_s_kl():
    """d = log π^masked − log π: its mean under π is KL[π ‖ π^masked], not the inverse."""
    log_p = torch.tensor([[0.6, 0.4]]).log()
    log_q = torch.tensor([[0.3, 0.7]]).log()
    mask = torch.ones(1, 2)
    expectation = (log_p.exp() * objectives.perception_kl(log_p, log_q, mask)).sum()
    torch.testing.assert_close(expectation, (log_p.exp() * (log_p - log_q)).sum())


def test_the_sign_of_papo_s_terms_is_the_equation_s():
    """loss = −γ·mean k3 + η·mean(−log π): descending raises the KL and lowers the entropy."""
    log_probs = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    other, mask = torch.tensor([[-1.5, -2.5]]), torch.ones(1, 2)
    objectives.perception_kl(log_probs, other, mask).mean().neg().backward()
    assert (log_probs.grad < 0).all()
    log_probs.grad = None
    objectives.sampled_entropy(log_probs, other, mask).mean().backward()
    assert (log_probs.grad < 0).all()


@pytest.mark.parametrize("function", objectives.TERMS.values(), ids=objectives.TERMS)
def test_terms_are_zero_and_have_no_gradient_at_padding(function):
    log_probs = torch.tensor([[-1.0, float("nan")]], requires_grad=True)
    other = torch.tensor([[-2.0, float("nan")]], requires_grad=True)
    value = function(log_probs, other, torch.tensor([[1, 0]]))
    assert value[0, 1] == 0
    value.sum().backward()
    for grad in (log_probs.grad, other.grad):
        assert grad is None or (grad.isfinite().all() and grad[0, 1] == 0)


def test_a_bounded_reference_is_the_clamp_of_k3_in_value_and_gradient():
    """As EasyR1's and PAPO's compute_kl does it: d in ±20, k3 at most 10."""
    d = torch.tensor([[-25.0, -11.5, -10.0, -1.0, 0.0, 1.0, 2.6, 2.62, 4.0, 8.0, 30.0]], dtype=torch.float64)
    found, wanted = torch.zeros_like(d, requires_grad=True), torch.zeros_like(d, requires_grad=True)
    change = objectives.bounded_reference(found, d, 10.0) - found
    clamped = (d - wanted).clamp(-20, 20)
    k3, expected = change.exp() - change - 1, (clamped.exp() - clamped - 1).clamp(max=10)
    torch.testing.assert_close(k3, expected)
    k3.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(found.grad, wanted.grad)
    assert (found.grad[0, -4:] == 0).all()
    free = objectives.bounded_reference(found, d, 1e6)
    assert torch.equal(free[0, :-1], d[0, :-1])


@pytest.mark.parametrize("bound", [1e-6, 0.1, 1.0, 10.0, 1e6])
def test_the_bound_is_reached_exactly(bound):
    zero, far = torch.zeros(1, 1, dtype=torch.float64), torch.full((1, 1), 50.0, dtype=torch.float64)
    d = objectives.bounded_reference(zero, far, bound)
    assert (d.expm1() - d).item() == pytest.approx(bound, rel=1e-6)


def surrogate(advantages, ratio, low, high, dual):
    """The clipped surrogate written from its definition."""
    loss = -torch.minimum(advantages * ratio, advantages * ratio.clamp(1 - low, 1 + high))
    return torch.where(advantages < 0, torch.minimum(loss, -advantages * dual), loss)


def test_a_weight_on_the_advantage_is_a_weight_on_the_loss():
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        advantages, noise = torch.randn(2, 64, generator=generator, dtype=torch.float64)
        weights = torch.rand(64, generator=generator, dtype=torch.float64) * 3 * (noise > -0.5)
        ratio = noise.exp()
        weighted = surrogate(weights * advantages, ratio, 0.2, 0.28, 3.0)
        torch.testing.assert_close(weighted, weights * surrogate(advantages, ratio, 0.2, 0.28, 3.0))
    assert surrogate(torch.tensor(-1.0), torch.tensor(1.5), 0.2, 0.28, 3.0) != -surrogate(
        torch.tensor(1.0), torch.tensor(1.5), 0.2, 0.28, 3.0
    )


def test_named_objectives_are_the_papers():
    assert (OBJECTIVES["dapo"].clip_low, OBJECTIVES["dapo"].clip_high) == (0.2, 0.28)
    assert OBJECTIVES["dapo"].aggregation == "token_mean"
    assert OBJECTIVES["dapo"].informative_groups == GroupSelection(key="accuracy", low=0.01, high=0.99)
    assert (OBJECTIVES["grpo"].clip_high, OBJECTIVES["grpo"].aggregation) == (0.2, "sequence_mean")
    assert OBJECTIVES["gspo"].ratio == "sequence"
    assert OBJECTIVES["dr_grpo"].scale_advantages == "none"
    assert OBJECTIVES["dr_grpo"].aggregation == "fixed_length"


def test_plain_settings_go_over_the_named_ones():
    chosen = objective({"name": "grpo", "clip_high": 0.3, "reference_kl": 0.01})
    assert chosen == Objective(name="grpo", clip_high=0.3, reference_kl=0.01, aggregation="sequence_mean")
    assert objective({"dual_clip": 3.0}).informative_groups == GroupSelection()
    assert objective({"informative_groups": {"low": 0.2}}).informative_groups == GroupSelection(low=0.2)
    assert objective({"informative_groups": None}).informative_groups is None
    assert objective("dapo", informative_groups={"key": "overall"}).informative_groups.key == "overall"
    assert objective("grpo", informative_groups={"key": "overall"}).informative_groups is None


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_built_again_from_its_plain_data(name):
    assert objective(objective(name).plain()) == objective(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("dpao", "did you mean dapo"),
        ({"clip_hihg": 0.3}, "did you mean clip_high"),
        ({"clip_low": 1.2}, r"clip_low must be a number in \[0, 1\]"),
        ({"dual_clip": 1.0}, r"\(1, ∞\) or None"),
        ({"ratio": "batch"}, "valid: sequence, token"),
        ({"overlong": 0}, "an integer"),
        ({"entropy_penalty": -0.1}, "entropy_penalty"),
        ({"informative_groups": {"low": 0.9, "high": 0.1}}, "below"),
        ({"informative_groups": {"kye": "x"}}, "did you mean key"),
        ({"informative_groups": {"key": "format"}}, "valid: accuracy, overall"),
        ({"informative_groups": "accuracy"}, "informative_groups"),
        (3, "objective"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(UserError, match=message):
        objective(settings)
