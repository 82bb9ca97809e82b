"""Adapters merged into the weights for a moment: what a sampler gets, and what is saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import LoraLayer


@contextmanager
def merged_adapters(model: Any) -> Iterator[None]:
    """While it lasts every adapted weight is W + α/r·B·A, whole or sharded; afterwards W, to the bit.

    verl's own leaves out the adapters of modules that FSDP2 wraps with the root, such as the one between
    vision tower and language model.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
    weights: list[Any] = [layer.get_base_layer().weight for layer in layers]
    kept = [weight.detach().clone() for weight in weights]
    try:
        with torch.no_grad():
            for layer in layers:
                layer.merge()
        yield
    finally:
        with torch.no_grad():
            for layer, weight, before in zip(layers, weights, kept, strict=True):
                weight.copy_(before)
                layer.merged_adapters.clear()
