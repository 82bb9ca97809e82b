"""Signals against stored numbers, worked out independently of this code."""

import json
from pathlib import Path

import pytest
import torch

from sightline import signals

CASES = json.loads((Path(__file__).parent / "weights2.json").read_text())
AT_TOKEN = {"abs_log_ratio", "sampled_symmetric"}
ONE_VIEW = {"entropy", "top_p_entropy"}


def of(name):
    return [case for case in CASES if case["method"] == name]


@pytest.mark.parametrize("case", of("signals"))
def test_signals_equal_the_stored_ones(case):
    log_p, log_q = (torch.tensor(case[side], dtype=torch.float64).log() for side in ("p", "q"))
    tokens = torch.tensor(case["token_ids"])
    first, second = (log.gather(-1, tokens[..., None]).squeeze(-1) for log in (log_p, log_q))
    for name, wanted in case["values"].items():
        if name == "sampled_entropy_term":
            found = signals.sampled_entropy_term(first)
        elif name in AT_TOKEN:
            found = getattr(signals, name)(first, second)
        elif name == "other_entropy":
            found = signals.entropy(log_q)
        else:
            found = getattr(signals, name)(*((log_p,) if name in ONE_VIEW else (log_p, log_q)))
        torch.testing.assert_close(
            found, torch.tensor(wanted, dtype=torch.float64), atol=1e-10, rtol=0, msg=name
        )


@pytest.mark.parametrize("case", of("signals"))
def test_the_scoring_pass_computes_the_same_from_logits(case):
    """A head that is the identity: states are the logits."""
    log_p, log_q = (torch.tensor(case[side]).log().flatten(0, 1) for side in ("p", "q"))
    tokens = torch.tensor(case["token_ids"]).flatten()
    found = signals.token_statistics(
        log_p, log_q, torch.eye(log_p.shape[-1]), None, tokens, signals=list(case["values"]), tile=5, chunk=3
    )
    for name, wanted in case["values"].items():
        torch.testing.assert_close(
            found[name], torch.tensor(wanted).flatten(), atol=2e-6, rtol=2e-6, msg=name
        )


@pytest.mark.parametrize("case", of("hidden_similarity"))
def test_hidden_similarity_equals_the_stored_one(case):
    hidden = torch.tensor(case["hidden"])
    is_image, places = torch.tensor(case["is_image"]), torch.tensor(case["places"])
    own = places[..., None].expand(-1, -1, hidden.shape[-1])
    layers = [
        signals.hidden_similarity(states.gather(1, own), signals.mean_direction(states, is_image))
        for states in hidden
    ]
    wanted = torch.tensor(case["values"])
    torch.testing.assert_close(torch.stack(layers).mean(0), wanted, atol=1e-6, rtol=0)
