"""Attention over packed rows, entered through transformers' AttentionInterface.

A packed row is one sequence for everything but attention: embeddings, projections, MLPs, adapters,
checkpointing and sharding see nothing new. Rows of any other kind go to `sdpa`, masks included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .layout import Bundle, Layout

NAME = "shared_prompts"
"""As `attn_implementation` of a text model."""
LAYOUT = "packed_layout"
"""The keyword of a model's forward under which a row's `Layout` travels down to attention."""
PLAIN = "sdpa"
"""The attention of rows that are not packed, and of the prompts in those that are."""


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    packed_layout: Layout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of one layer, [1, H, L, d] and [1, h, L, d] -> [1, L, H, d].

    With a layout each prompt sees itself and each response its prompt and itself, in order; the mask that
    came is not read. Without one this is `sdpa`.

    Raises:
        RuntimeError: the row has another size than its layout, or the layer slides but names no window.
    """
    if packed_layout is None:
        plain = ALL_ATTENTION_FUNCTIONS[PLAIN]
        given = {"scaling": scaling, "dropout": dropout, "sliding_window": sliding_window, **kwargs}
        return plain(module, query, key, value, attention_mask, **given)
    if query.shape[0] != 1 or query.shape[2] != packed_layout.size:
        raise RuntimeError(f"a packed row of {packed_layout.size} tokens came as {tuple(query.shape)}")
    if sliding_window is None and _slides(module):
        raise RuntimeError(f"layer {module.layer_idx} slides, but gives its attention no window")
    packed_layout.ran.add(module.layer_idx)
    layer = _Layer(module, scaling, dropout, sliding_window)
    q, k, v = (side[0].transpose(0, 1) for side in (query, key, value))
    found = [part for bundle in packed_layout.bundles for part in layer.bundle(bundle, q, k, v)]
    return torch.cat(found)[None], None


def _slides(module: Any) -> bool:
    kinds = getattr(module.config, "layer_types", None)
    return kinds is not None and kinds[module.layer_idx] == "sliding_attention"


@dataclass(frozen=True)
class _Layer:
    """One layer's attention."""

    module: Any
    scaling: float | None
    dropout: float
    window: int | None

    def bundle(self, bundle: Bundle, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """What the prompts and what the responses gather, [.., H, d], of a row [L, H, d] and [L, h, d]."""
        prompts, responses = bundle.prompts, bundle.responses
        keys, values = prompts.rectangle(key), prompts.rectangle(value)
        found = []
        if prompts.width:
            seen = self._prompts(bundle, prompts.rectangle(query), keys, values)
            found.append(prompts.ragged(seen))
        if responses.width:
            keys, values = (
                torch.cat([of_prompts.index_select(0, bundle.owner), responses.rectangle(own)], 1)
                for of_prompts, own in ((keys, key), (values, value))
            )
            seen = self._responses(bundle, responses.rectangle(query), keys, values)
            found.append(responses.ragged(seen))
        return found

    def _prompts(self, bundle: Bundle, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[n, P, H, d] of queries [n, P, H, d] and keys [n, P, h, d]."""
        mask = bundle.prompt_mask(self.window)
        given = (side.transpose(1, 2) for side in (query, key, value))
        plain: Any = ALL_ATTENTION_FUNCTIONS[PLAIN]
        how = {"scaling": self.scaling, "dropout": self.dropout, "is_causal": mask is None}
        return plain(self.module, *given, mask, **how)[0]

    def _responses(self, bundle: Bundle, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[R, T, H, d] of queries [R, T, H, d] and keys [R, P + T, h, d], a block of queries at a time.

        Heads that share keys stand behind each other as more queries, so that no key is copied for them.
        """
        heads, shared = query.shape[2], key.shape[2]
        times, prompt = heads // shared, bundle.prompts.width
        query = query.unflatten(2, (shared, times)).permute(0, 2, 3, 1, 4)
        key, value = key.transpose(1, 2), value.transpose(1, 2)
        found = []
        for rows, start, end in bundle.response_blocks():
            mask = bundle.response_mask(self.window, rows, start, end)
            seen = functional.scaled_dot_product_attention(
                query[:rows, :, :, start:end].flatten(2, 3),
                key[:rows, :, : prompt + end],
                value[:rows, :, : prompt + end],
                attn_mask=mask.repeat(1, 1, times, 1),
                dropout_p=self.dropout,
                scale=self.scaling,
            )
            block = seen.unflatten(2, (times, end - start)).permute(0, 3, 1, 2, 4).flatten(2, 3)
            missing = len(query) - rows
            found.append(functional.pad(block, (0, 0) * 3 + (0, missing)) if missing else block)
        return torch.cat(found, 1) if len(found) > 1 else found[0]


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS[PLAIN])
