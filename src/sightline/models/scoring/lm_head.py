"""The language-model head as the training engine applies it: hidden state -> logits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

_UNSCALED = ("cohere2_vision",)
"""Families whose own forward in transformers leaves out the scale of logits that their text config names."""


@dataclass(frozen=True)
class Head:
    """logits = softcap · tanh(scale · (W h + b) / softcap), or scale · (W h + b) without a softcap."""

    weight: Tensor
    """[V, D], whole also where parameters are sharded."""
    bias: Tensor | None
    scale: float
    softcap: float | None
    in_float32: bool
    """Whether it is applied in float32 outside autocast: it is float32 beside a half-precision backbone."""

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """The autocast state that its logits are made in."""
        return (
            torch.autocast(self.weight.device.type, enabled=False)
            if self.in_float32
            else contextlib.nullcontext()
        )


@contextlib.contextmanager
def gathered_head(model: PreTrainedModel) -> Iterator[Head]:
    """The head of `model`, gathered while the context is open if its parameters are sharded.

    Tied, FSDP2 and tensor-parallel (DTensor), and ZeRO-3 heads.
    """
    module: Any = model.get_output_embeddings()
    weight, bias = module.weight, getattr(module, "bias", None)
    config = model.config.get_text_config()
    with contextlib.ExitStack() as open_contexts:
        sharded = [p for p in (weight, bias) if p is not None and hasattr(p, "ds_id")]
        if sharded:
            import deepspeed  # pyright: ignore[reportMissingImports]

            open_contexts.enter_context(deepspeed.zero.GatheredParameters(sharded))
        yield Head(
            weight=_whole(weight),
            bias=None if bias is None else _whole(bias),
            scale=1.0 if model.config.model_type in _UNSCALED else logit_scale(config),
            softcap=getattr(config, "final_logit_softcapping", None),
            in_float32=weight.dtype == torch.float32 and _half_precision(model),
        )


def _whole(parameter: Tensor) -> Tensor:
    return parameter.full_tensor() if isinstance(parameter, DTensor) else parameter


def _half_precision(model: Any) -> bool:
    layers = model.get_decoder().layers
    return next(layers.parameters()).dtype in (torch.float16, torch.bfloat16)


def as_forward_scales(model: PreTrainedModel) -> str | None:
    """Make the config of a family whose forward leaves out the scale of its logits say so: 1.

    transformers' own sampling is then the policy that engines train, which read the scale off the config.
    Returns what was changed, if anything was.
    """
    config: Any = model.config.get_text_config()
    if model.config.model_type not in _UNSCALED or logit_scale(config) == 1.0:
        return None
    said, config.logit_scale = f"logit_scale {config.logit_scale:g} of its config", 1.0
    return f"{said} is 1 here and in what is saved, since transformers' forward does not apply it"


def logit_scale(config: Any) -> float:
    """What a text config multiplies its logits by, under the names that families give it."""
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        if getattr(config, name, None) is not None:
            return float(getattr(config, name))
    scaling = getattr(config, "logits_scaling", None)
    if scaling is None:
        return 1.0
    return float(scaling) if config.model_type == "hyperclovax" else 1.0 / float(scaling)
