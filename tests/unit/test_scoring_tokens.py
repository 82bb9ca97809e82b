"""Numbers from hidden states: chunks of the vocabulary, softcap and scale, precision, memory."""

from __future__ import annotations

import pytest
import torch

from sightline import signals

ALL = ["sampled_k3", "exact_kl", "jensen_shannon", "top_probability_drop", "entropy"]


def given(rows: int = 9, width: int = 16, vocabulary: int = 101, apart: float = 1.0, seed: int = 0):
    draw = torch.Generator().manual_seed(seed)
    hidden, change = torch.randn(2, rows, width, generator=draw, dtype=torch.float64)
    weight = torch.randn(vocabulary, width, generator=draw, dtype=torch.float64) / 4
    tokens = torch.randint(vocabulary, (rows,), generator=draw)
    return hidden, hidden + apart * change, weight, tokens


def reference(hidden, other, weight, tokens, temperature=1.0, scale=1.0, softcap=None):
    """Everything from full logits in float64."""

    def log_softmax(states):
        logits = scale * (states @ weight.T)
        logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
        return (logits / temperature).log_softmax(-1)

    log_p, log_q = log_softmax(hidden), log_softmax(other)
    picked = [log.gather(-1, tokens[:, None])[:, 0] for log in (log_p, log_q)]
    return {
        "log_prob": picked[0],
        "other_log_prob": picked[1],
        "sampled_k3": signals.sampled_k3(*picked),
        "exact_kl": (log_p.exp() * (log_p - log_q)).sum(-1),
        "jensen_shannon": signals.jensen_shannon(log_p, log_q),
        "top_probability_drop": signals.top_probability_drop(log_p, log_q),
        "entropy": -(log_p.exp() * log_p).sum(-1),
    }


def check(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name].double(), values, **tolerance, msg=name)


@torch.no_grad()
@pytest.mark.parametrize("chunk", [1, 7, 101, 1000])
@pytest.mark.parametrize("apart", [1.0, 200.0])
def test_chunks_of_the_vocabulary_add_up(chunk: int, apart: float) -> None:
    hidden, other, weight, tokens = given(apart=apart)
    found = signals.token_statistics(
        hidden.float(), other.float(), weight.float(), None, tokens, 0.7, ALL, 4, chunk=chunk
    )
    check(found, reference(hidden, other, weight, tokens, 0.7), atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("scale", "softcap"), [(0.25, None), (1.0, 2.0), (3.0, 0.5)])
def test_scale_and_softcap_bend_the_logits(scale: float, softcap: float | None) -> None:
    hidden, other, weight, tokens = given()
    found = signals.token_statistics(
        hidden.float(), other.float(), weight.float(), None, tokens, 0.9, ALL,
        chunk=10, logit_scale=scale, softcap=softcap,
    )  # fmt: skip
    check(found, reference(hidden, other, weight, tokens, 0.9, scale, softcap), atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("apart", [1e-2, 1e-3])
def test_small_divergences_keep_their_order(apart: float) -> None:
    """Rules that rank tokens would rank noise if p (log p − log q) were summed as it stands."""
    hidden, other, weight, tokens = given(rows=40, width=64, vocabulary=1000, apart=apart)
    found = signals.token_statistics(
        hidden.float(), other.float(), weight.float(), None, tokens, 1.0, ["exact_kl"], chunk=300
    )["exact_kl"]
    wanted = reference(hidden, other, weight, tokens)["exact_kl"]
    torch.testing.assert_close(found.double(), wanted, rtol=2e-2, atol=0)
    assert (found.argsort() == wanted.argsort()).float().mean() > 0.9


def test_gradients_are_those_of_full_logits() -> None:
    hidden, other, weight, tokens = (
        tensor.requires_grad_() if tensor.is_floating_point() else tensor for tensor in given()
    )
    found = signals.token_statistics(
        hidden, other, weight, None, tokens, 0.7, ["exact_kl", "entropy"], 4, chunk=30
    )
    expected = reference(hidden, other, weight, tokens, 0.7)
    for name in ("exact_kl", "entropy", "log_prob", "other_log_prob"):
        ours = torch.autograd.grad(found[name].sum(), [hidden, weight], retain_graph=True, allow_unused=True)
        theirs = torch.autograd.grad(
            expected[name].sum(), [hidden, weight], retain_graph=True, allow_unused=True
        )
        for mine, wanted in zip(ours, theirs, strict=True):
            assert (mine is None) == (wanted is None)
            if mine is not None:
                torch.testing.assert_close(mine, wanted, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_autocast_makes_logits_in_its_own_precision() -> None:
    hidden, other, weight, tokens = (t.float() if t.is_floating_point() else t for t in given())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = signals.token_statistics(hidden, other, weight, None, tokens, 1.0, ["exact_kl"])
    logits = (hidden.bfloat16() @ weight.bfloat16().T).float().log_softmax(-1)
    assert found["log_prob"].dtype == torch.float32
    torch.testing.assert_close(
        found["log_prob"], logits.gather(-1, tokens[:, None])[:, 0], atol=2e-2, rtol=1e-2
    )


@torch.no_grad()
def test_an_overflow_shows_and_a_large_gap_does_not_overflow() -> None:
    weight = torch.eye(3)
    tokens = torch.tensor([0, 1])
    far = torch.tensor([[300.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    near = torch.tensor([[0.0, 300.0, 0.0], [0.0, 0.0, 0.0]])
    found = signals.token_statistics(far, near, weight, None, tokens, 1.0, ALL)
    assert found["exact_kl"].tolist() == pytest.approx([300.0, 0.0], abs=1e-4)
    broken = signals.token_statistics(far * torch.inf, near, weight, None, tokens, 1.0, ALL)
    assert not broken["exact_kl"][0].isfinite()


@torch.no_grad()
def test_logits_of_all_tokens_never_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    largest: list[int] = []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(
        torch.nn.functional, "linear", lambda *all_: largest.append((made := linear(*all_)).numel()) or made
    )
    hidden, weight = torch.zeros(300, 1).bfloat16(), torch.zeros(200_000, 1).bfloat16()
    signals.token_statistics(
        hidden, hidden, weight, None, torch.zeros(300, dtype=torch.long), 1.0, ["exact_kl"]
    )
    assert max(largest) * 2 * weight.dtype.itemsize <= 120_000_000
    assert sum(largest) == 2 * 300 * 200_000


@torch.no_grad()
def test_the_mass_of_banned_tokens_is_the_first_view_s() -> None:
    hidden, other, weight, tokens = given()
    found = signals.token_statistics(
        hidden.float(), other.float(), weight.float(), None, tokens, 0.7, tile=4, banned_ids=[3, 50, 100]
    )["banned_mass"]
    wanted = ((hidden @ weight.T) / 0.7).softmax(-1)[:, [3, 50, 100]].sum(-1)
    torch.testing.assert_close(found.double(), wanted, atol=1e-6, rtol=1e-4)
