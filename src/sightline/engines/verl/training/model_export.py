"""The trained weights in Hugging Face form, gathered from all ranks and written by rank 0."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from ....models.vllm_weight_names import names_for_vllm

EXPORTED = ".model.part"
"""The last part of a path under which the model alone is written."""


def export_model(
    module: Any, model_config: Any, weights: Iterable[tuple[str, Tensor]], folder: str, *, main: bool
) -> None:
    """Write config, safetensors and processor into `folder`. Every rank calls it; rank 0 writes."""
    state = {}
    for name, tensor in weights:  # gathering is collective, so every rank goes through all of them
        if main:
            state[name] = tensor.detach().cpu().clone()
    if not main:
        return
    module.save_pretrained(folder, state_dict=names_for_vllm(module, state))
    model_config.processor.save_pretrained(folder)
    module.generation_config.save_pretrained(folder)
