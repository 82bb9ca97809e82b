"""Adapters merged for a moment compute what they compute beside the weights, and leave these as they were."""

from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from sightline.engines.verl.training.adapters import merged_adapters


def test_merged_weights_compute_the_same_and_go_back_to_the_bit() -> None:
    torch.manual_seed(0)
    layers: Any = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Linear(5, 3))
    model = get_peft_model(layers, LoraConfig(r=2, target_modules=["0", "1"]))  # pyright: ignore[reportArgumentType]
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    asked = torch.randn(2, 4)
    expected, before = model(asked), [weight.detach().clone() for weight in model.parameters()]
    with merged_adapters(model), torch.no_grad():
        plain = torch.nn.Sequential(*(layer.get_base_layer() for layer in layers))
        assert torch.allclose(plain(asked), expected, atol=1e-6)
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
    assert torch.equal(model(asked), expected)
