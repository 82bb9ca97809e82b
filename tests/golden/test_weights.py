"""The published rules against 144 stored cases, worked out independently of this code, and against 120
cases of what the authors' own update functions computed; each names its repository and commit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sightline.methods import method
from sightline.shaping import adjustment

CASES = json.loads((Path(__file__).parent / "weights.json").read_text())
RELEASED = json.loads((Path(__file__).parent / "released.json").read_text())


def _name(case: dict) -> str:
    options = ",".join(f"{key}={value}" for key, value in case["options"].items())
    return f"{case['method']}({options})"


WITHOUT_PADDING = 71
"""The stored case of released VGPO that leaves padding out of its min-max. The authors' function counts
padding as cosine 0, which matters only where every cosine is positive: in this case alone, by 0.0013."""


def _weigh(case, rule):
    scores, mask = torch.tensor(case["scores"]), torch.tensor(case["mask"])
    return rule.weights(scores, mask, torch.tensor(case["group_ids"]))


@pytest.mark.parametrize(
    "case", [*CASES[:WITHOUT_PADDING], *CASES[WITHOUT_PADDING + 1 :], *RELEASED], ids=_name
)
def test_weights_equal_the_stored_ones(case):
    weights = _weigh(case, method(case["method"], **case["options"]))
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, torch.tensor(case["weights"]), atol=1e-5, rtol=0)


def test_the_case_that_leaves_padding_out_is_the_rule_without_it():
    case = CASES[WITHOUT_PADDING]
    released = method(case["method"], **case["options"])
    without = replace(released, adjustments=(adjustment("batch_min_max"), *released.adjustments[1:]))
    torch.testing.assert_close(_weigh(case, without), torch.tensor(case["weights"]), atol=1e-5, rtol=0)
    assert (_weigh(case, released) - _weigh(case, without)).abs().max().item() == pytest.approx(
        1.27e-3, abs=1e-5
    )


def test_all_methods_with_rules_are_covered():
    assert {case["method"] for case in CASES} == {"vgpo", "vppo", "pgpo"}
    assert len(CASES) == 144


def test_the_released_cases_come_from_named_commits():
    assert {case["source"] for case in RELEASED} == {
        "wzb-bupt/VGPO d773c71 update_policy",
        "huaixuheqing/VPPO-RL a23c54b update_policy",
    }
    assert len(RELEASED) == 120
