"""The published rules against 144 stored cases, worked out independently of this code."""

import json
from pathlib import Path

import pytest
import torch

from sightline.methods import method

CASES = json.loads((Path(__file__).parent / "weights.json").read_text())


def _name(case: dict) -> str:
    options = ",".join(f"{key}={value}" for key, value in case["options"].items())
    return f"{case['method']}({options})"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_weights_equal_the_stored_ones(case):
    scores, mask = torch.tensor(case["scores"]), torch.tensor(case["mask"])
    weights = method(case["method"], **case["options"]).weights(scores, mask, torch.tensor(case["group_ids"]))
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, torch.tensor(case["weights"]), atol=1e-5, rtol=0)


def test_all_methods_with_rules_are_covered():
    assert {case["method"] for case in CASES} == {"vgpo", "vppo", "pgpo"}
    assert len(CASES) == 144
