"""Attention with its largest weights removed: a second view made inside every decoder layer (CFPO).

transformers lets a model attend through a function that it looks up by name; while `replaced_attention` is
open, that function is ours. It computes attention in full, H·S² numbers a layer and sample.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask
from transformers.modeling_utils import AttentionInterface

from ...errors import UserError
from ...views import Counterfactual

NAME = "sightline_counterfactual"
_POSITIVE = 1e-8
"""Attention above this counts as such."""


def counterfactual_output(
    attention: Tensor, values: Tensor, is_image: Tensor, looks: Tensor, *, deviations: float, mean: str
) -> Tensor:
    """out = a v + (a·chosen)(m − v) [H, S, D] of one sample: CFPO's attention in one layer.

    `attention` a is softmaxed [H, S, S], `values` v are [H, S, D], every key head repeated for its query
    heads; `is_image` [S] marks image tokens and `looks` [S] the positions after them. Chosen are entries of
    looking positions × image tokens above mean + `deviations`·std of the block's entries above 1e-8, over all
    heads together, std unbiased. m is the mean image value of a head: "scalar" over tokens and features,
    "vector" over tokens. Nothing is chosen where fewer than two entries are positive.
    """
    plain = attention @ values
    block = attention[:, looks][:, :, is_image]
    positive = block[block > _POSITIVE]
    if positive.numel() < 2:
        return plain
    wide = positive.float() if positive.dtype != torch.float64 else positive
    bound = wide.mean() + deviations * wide.std()
    moved = torch.where(block > bound, block, 0.0)
    image = values[:, is_image]
    centre = image.mean((1, 2), keepdim=True) if mean == "scalar" else image.mean(1, keepdim=True)
    out = plain.clone()
    out[:, looks] += (moved @ (centre - image)).to(out.dtype)
    return out


@dataclass
class _Replaced:
    """One pass: what it changes, and how many layers have asked for it."""

    view: Counterfactual
    is_image: Tensor
    """bool [n, S]"""
    looks: Tensor
    """bool [n, S], tokens after the last image token, padding left out."""
    calls: int = 0

    def __call__(
        self,
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor,
        scaling: float | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """Attention [n, S, H, D] as transformers' interface has it, each sample by itself."""
        if s_aux is not None:
            raise UserError(
                "view counterfactual: this family's attention has sinks, for which it is not defined"
            )
        self.calls += 1
        scale = module.head_dim**-0.5 if scaling is None else scaling
        groups = query.shape[1] // key.shape[1]
        found = []
        for row in range(len(query)):
            keys, values = (side[row].repeat_interleave(groups, 0) for side in (key, value))
            logits = query[row] @ keys.transpose(1, 2) * scale
            logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
            mask = attention_mask[min(row, len(attention_mask) - 1)]
            attention = (logits + mask).softmax(-1, dtype=torch.float32).to(query.dtype)
            found.append(
                counterfactual_output(
                    attention,
                    values,
                    self.is_image[row],
                    self.looks[row],
                    deviations=self.view.deviations,
                    mean=self.view.mean,
                )
            )
        return torch.stack(found).transpose(1, 2).contiguous(), None


_running: ContextVar[_Replaced] = ContextVar("running")
"""The pass that is under way: transformers looks functions up by name, which has to stand for all of them."""


def _attend(module: Any, *given: Any, **named: Any) -> tuple[Tensor, None]:
    return _running.get()(module, *given, **named)


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, eager_mask)


@contextlib.contextmanager
def replaced_attention(
    model: PreTrainedModel, view: Counterfactual, is_image: Tensor, attended: Tensor
) -> Iterator[None]:
    """Whole sequences that `model` runs inside see the view: `is_image`, `attended` [n, S] are theirs.

    Raises:
        UserError: the model's layers do not attend through transformers' attention interface.
    """
    config: Any = model.config.get_text_config()
    after = is_image.flip(1).cumsum(1).flip(1) == 0
    replaced = _Replaced(view, is_image.bool(), after & attended.bool() & is_image.any(1, keepdim=True))
    before = config._attn_implementation
    token = _running.set(replaced)
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before
        _running.reset(token)
    if not replaced.calls:
        raise UserError(
            f"view counterfactual: {type(model).__name__} does not attend through transformers' attention "
            "interface; use another view"
        )
