"""Signals against their definitions, at their edges, and through tiles."""

import math

import pytest
import torch

from sightline import signals
from sightline.errors import UserError
from sightline.signals import SIGNALS

GENERATOR = torch.Generator().manual_seed(0)


def distributions(*shape):
    logits = torch.randn(2, *shape, generator=GENERATOR, dtype=torch.float64) * 3
    return logits.log_softmax(-1)


def test_exact_kl_is_the_sum_over_the_vocabulary():
    log_p, log_q = distributions(4, 5, 30)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=log_p), torch.distributions.Categorical(logits=log_q)
    )
    torch.testing.assert_close(signals.exact_kl(log_p, log_q), expected)
    assert (signals.exact_kl(log_p, log_p) == 0).all()


def test_k3_is_an_unbiased_estimate_of_the_exact_kl():
    log_p, log_q = distributions(1, 30)
    log_q = 0.9 * log_p + 0.1 * log_q
    log_q = log_q.log_softmax(-1)
    expectation = (log_p.exp() * signals.sampled_k3(log_p, log_q)).sum(-1)
    torch.testing.assert_close(expectation, signals.exact_kl(log_p, log_q))


def test_k3_is_clamped_and_zero_at_equality():
    log_p = torch.tensor([-1.0, -100.0, -1.0, -0.1])
    log_q = torch.tensor([-1.0, -1.0, -100.0, -1.1])
    k3 = signals.sampled_k3(log_p, log_q)
    assert k3.tolist()[:3] == [0.0, 10.0, 10.0]
    assert math.isclose(k3[3].item(), math.exp(-1) + 1 - 1, rel_tol=1e-6)


def test_jensen_shannon_is_symmetric_and_bounded():
    log_p, log_q = distributions(50, 7)
    distance = signals.jensen_shannon(log_p, log_q)
    torch.testing.assert_close(distance, signals.jensen_shannon(log_q, log_p))
    assert ((distance >= 0) & (distance <= math.log(2))).all()
    apart = torch.tensor([[0.0, -math.inf], [-math.inf, 0.0]])
    assert signals.jensen_shannon(apart[0], apart[1]).item() == pytest.approx(math.log(2))


def test_banned_tokens_do_not_make_nan():
    log_p = torch.tensor([[-math.inf, 0.2, 0.1]]).log_softmax(-1)
    log_q = torch.tensor([[-math.inf, 0.1, 0.9]]).log_softmax(-1)
    for name in ("exact_kl", "jensen_shannon", "top_probability_drop"):
        assert getattr(signals, name)(log_p, log_q).isfinite().all()
    assert signals.entropy(log_p).isfinite().all()
    everywhere = torch.zeros(1, 3).log_softmax(-1)
    assert signals.exact_kl(everywhere, log_q).item() == math.inf


def test_top_probability_drop_follows_the_first_view_s_choice():
    log_p = torch.tensor([[0.7, 0.2, 0.1]]).log()
    log_q = torch.tensor([[0.1, 0.8, 0.1]]).log()
    assert signals.top_probability_drop(log_p, log_q).item() == pytest.approx(0.6)
    assert signals.top_probability_drop(log_q, log_p).item() == pytest.approx(0.6)
    rise = signals.top_probability_drop(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log())
    assert rise.item() == pytest.approx(-0.4)
    assert SIGNALS["top_probability_drop"].score(rise).item() == 0


def test_entropy_is_that_of_the_distribution():
    log_p, _ = distributions(6, 11)
    torch.testing.assert_close(
        signals.entropy(log_p), torch.distributions.Categorical(logits=log_p).entropy()
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_visual_focus_is_the_cosine_to_the_mean_of_image_states(dtype):
    hidden = torch.randn(3, 9, 16, generator=GENERATOR).to(dtype) * 30
    is_image = torch.tensor([[1, 1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0, 0, 0, 0], [0] * 9])
    mean = signals.image_state(hidden, is_image)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean[1], hidden[1, 1:4].float().mean(0))
    focus = signals.visual_focus(hidden[:, 4:], mean)
    expected = torch.cosine_similarity(hidden[:2, 4:].float(), mean[:2, None], dim=-1)
    torch.testing.assert_close(focus[:2], expected)
    assert (focus[2] == 0).all()


def test_states_outside_the_image_do_not_matter():
    hidden = torch.randn(1, 4, 8, generator=GENERATOR)
    hidden[0, 2:] = float("nan")
    mean = signals.image_state(hidden, torch.tensor([[1, 1, 0, 0]]))
    assert mean.isfinite().all()


def test_focus_is_one_on_the_state_itself_and_zero_for_a_zero_state():
    hidden = torch.tensor([[[1e-4, 0.0], [0.0, 0.0], [-2e4, 0.0]]])
    assert signals.visual_focus(hidden, torch.tensor([[3.0, 0.0]])).tolist() == [[1.0, 0.0, -1.0]]


def head(rows=11, width=6, vocabulary=23):
    hidden, other = torch.randn(2, rows, width, generator=GENERATOR)
    weight = torch.randn(vocabulary, width, generator=GENERATOR)
    bias = torch.randn(vocabulary, generator=GENERATOR)
    tokens = torch.randint(vocabulary, (rows,), generator=GENERATOR)
    return hidden, other, weight, bias, tokens


ALL = ["sampled_k3", "exact_kl", "jensen_shannon", "top_probability_drop", "entropy"]


@pytest.mark.parametrize("tile", [1, 4, 11, 100])
def test_tiles_give_what_the_whole_gives(tile):
    hidden, other, weight, bias, tokens = head()
    found = signals.token_statistics(hidden, other, weight, bias, tokens, 0.7, ALL, tile)
    log_p = ((hidden @ weight.T + bias) / 0.7).log_softmax(-1)
    log_q = ((other @ weight.T + bias) / 0.7).log_softmax(-1)
    picked = [log.gather(-1, tokens[:, None]).squeeze(-1) for log in (log_p, log_q)]
    expected = {
        "log_prob": picked[0],
        "other_log_prob": picked[1],
        "sampled_k3": signals.sampled_k3(*picked),
        "exact_kl": signals.exact_kl(log_p, log_q),
        "jensen_shannon": signals.jensen_shannon(log_p, log_q),
        "top_probability_drop": signals.top_probability_drop(log_p, log_q),
        "entropy": signals.entropy(log_p),
    }
    assert list(found) == list(expected)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, msg=name)


def test_half_precision_states_are_summed_in_float32():
    hidden, other, weight, bias, tokens = head(vocabulary=500)
    half = [tensor.bfloat16() for tensor in (hidden, other, weight, bias)]
    found = signals.token_statistics(*half, tokens, 1.0, ["exact_kl"])
    assert all(values.dtype == torch.float32 for values in found.values())
    logits = (half[0] @ half[2].T + half[3]).float().log_softmax(-1)
    torch.testing.assert_close(
        found["log_prob"], logits.gather(-1, tokens[:, None]).squeeze(-1), atol=0.05, rtol=0.01
    )


def test_one_view_and_no_tokens():
    hidden, _, weight, _, tokens = head()
    alone = signals.token_statistics(hidden, None, weight, None, tokens, 1.0, ["entropy"])
    assert list(alone) == ["log_prob", "entropy"]
    none = signals.token_statistics(hidden[:0], hidden[:0], weight, None, tokens[:0], 1.0, ALL)
    assert {values.shape for values in none.values()} == {(0,)}


def test_gradients_reach_both_views():
    hidden, other, weight, bias, tokens = head()
    hidden.requires_grad_(), other.requires_grad_()
    found = signals.token_statistics(hidden, other, weight, bias, tokens, 1.0, ["exact_kl"], 3)
    found["exact_kl"].sum().backward()
    assert hidden.grad.abs().sum() > 0
    assert other.grad.abs().sum() > 0


def test_the_logits_of_one_tile_are_the_most_that_exists(monkeypatch):
    hidden, other, weight, bias, tokens = head(rows=40)
    sizes = []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(
        torch.nn.functional, "linear", lambda *given: sizes.append(len(given[0])) or linear(*given)
    )
    signals.token_statistics(hidden, other, weight, bias, tokens, 1.0, ALL, 8)
    assert sizes == [8] * 10


@pytest.mark.parametrize(
    ("names", "other", "message"),
    [
        (["visual_focus"], True, "valid:"),
        (["exakt_kl"], True, "did you mean exact_kl"),
        (["exact_kl"], False, "compares two views"),
    ],
)
def test_mistakes_are_named(names, other, message):
    hidden, second, weight, bias, tokens = head()
    with pytest.raises(UserError, match=message):
        signals.token_statistics(hidden, second if other else None, weight, bias, tokens, 1.0, names)


@pytest.mark.parametrize("size", [1e-4, 1e-3, 1e-1, 1.0])
def test_small_divergences_are_right_in_float32(size):
    """The plain sum p·(log p − log q) is noise of about 1e-7 here, and rank-based rules would rank it."""
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 1000, generator=draw, dtype=torch.float64)
    other = logits + size * torch.randn(20, 1000, generator=draw, dtype=torch.float64)
    log_p, log_q = logits.log_softmax(-1), other.log_softmax(-1)
    wanted = (log_p.exp() * (log_p - log_q)).sum(-1)
    found = signals.exact_kl(log_p.float(), log_q.float()).double()
    torch.testing.assert_close(found, wanted, rtol=3e-3, atol=0)


@pytest.mark.parametrize("words", [100, 1000])
def test_a_set_of_one_word_has_an_entropy_of_exactly_zero(words: int) -> None:
    """Rounding above 0 would count as reasoning under ToR, whose bar all values above 0 can pass."""
    logits = torch.randn(500, words, generator=torch.Generator().manual_seed(0)) * 3
    logits[:, 0] += torch.linspace(20, 40, 500)
    log_p = logits.log_softmax(-1)
    assert (signals.top_p_entropy(log_p) == 0)[log_p[:, 0].exp() > 0.95].all()
