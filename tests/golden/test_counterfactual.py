"""Counterfactual attention of one layer against stored numbers."""

import json
from pathlib import Path

import pytest
import torch

from sightline.models.scoring.counterfactual import counterfactual_output

CASES = json.loads((Path(__file__).parent / "weights2.json").read_text())


@pytest.mark.parametrize("case", [one for one in CASES if one["method"] == "counterfactual_attention"])
def test_the_output_equals_the_stored_one(case):
    attention = torch.tensor(case["attention"], dtype=torch.float64)
    values = torch.tensor(case["values_in"], dtype=torch.float64)
    places = torch.arange(attention.shape[-1])
    image = (places[:, None] == torch.tensor(case["image_at"])).any(1)
    options = {"deviations": 2.0, "mean": "scalar"} | case["options"]
    found = counterfactual_output(attention, values, image, places >= case["after"], **options)
    torch.testing.assert_close(found, torch.tensor(case["outputs"], dtype=torch.float64), atol=1e-9, rtol=0)
