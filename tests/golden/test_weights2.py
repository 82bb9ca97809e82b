"""The second list of published rules against stored cases, worked out independently of this code."""

import json
from pathlib import Path

import pytest
import torch

from sightline.methods import method
from sightline.views import Anneal, Diffusion
from sightline.views.noised import kept_signal

CASES = json.loads((Path(__file__).parent / "weights2.json").read_text())
METHODS = ("pepo", "tor", "vepo", "dupl")


def _name(case):
    options = ",".join(f"{key}={value}" for key, value in case["options"].items())
    return f"{case['method']}({options})"


def weights(rule, case, **facts):
    facts |= {name: case[name] for name in ("advantages", "noisy") if name in case}
    return rule.weights(case["scores"], case["mask"], case["group_ids"], case["has_image"], **facts)


@pytest.mark.parametrize("case", [one for one in CASES if one["method"] in METHODS], ids=_name)
def test_weights_equal_the_stored_ones(case):
    options = dict(case["options"])
    facts = {"progress": options.pop("progress")} if "progress" in options else {}
    found = weights(method(case["method"], **options), case, **facts)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor(case["weights"]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("case", [one for one in CASES if one["method"] == "robust_rollout_scale"])
def test_the_robust_scale_equals_the_stored_one(case):
    rule = method("custom", signal="exact_kl", shapings=["robust_rollout_scale"])
    torch.testing.assert_close(weights(rule, case), torch.tensor(case["weights"]), atol=1e-6, rtol=0)


def test_the_schedules_of_noise_are_the_stored_ones():
    (case,) = [one for one in CASES if one["method"] == "noise_schedule"]
    noisy = method("noisyrollout").rollouts
    robust = method("dvrp").needs.views["noised"]
    for step, of_rollouts, of_term in case["steps"]:
        progress = step / case["total"]
        assert noisy.at(progress).step == of_rollouts
        assert robust.at(progress).step == of_term
    for step, value in case["alpha_bar"].items():
        assert kept_signal()[int(step)] == pytest.approx(value, abs=1e-12)


def test_the_noise_of_the_paper_s_steps():
    noise = [round(Diffusion(step=step).noise, 3) for step in (0, 100, 250, 450, 499)]
    assert noise == [0.005, 0.058, 0.147, 0.413, 0.503]
    falling = Anneal(steepness=30, middle=2 / 3)
    steps = [1, 20, 30, 35, 38, 40, 42, 45, 50, 60]
    k = [Diffusion(step=500).scaled(falling.factor(step / 60)).step for step in steps]
    assert k == [499, 499, 496, 462, 365, 250, 134, 37, 3, 0]
