"""The k likeliest next tokens at every position, under any image, for the inspect page.

Every row runs whole and the model makes its own logits, so this holds for any family and is slow beside
`models.scoring`, which training uses. Only response positions reach the head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ...models.families import (
    concatenate,
    image_features_inputs,
    image_token_id,
    positions,
    process_images,
    type_ids,
    unmasked_layers,
    without_tokens,
)
from ...rollouts import Rollouts
from ...signals import exact_kl

_LOGITS_AT_ONCE = 40_000_000
"""Numbers in the largest tensor of logits, 160 MB in float32."""
_MOST_ROWS = 32


@dataclass(frozen=True)
class TopTokens:
    """The k tokens that a model held likeliest at every response position."""

    tokens: Tensor
    """int64 [B, T, k], likeliest first."""
    probabilities: Tensor
    """float32 [B, T, k], in [0, 1]."""
    log_probs: Tensor
    """float32 [B, T], log-probability of the token that stands there, in nats."""


ProcessedImages = Sequence[Sequence[Any]]


@torch.no_grad()
def likeliest(
    model: PreTrainedModel,
    processor: Any,
    rollouts: Rollouts,
    images: ProcessedImages,
    *,
    hide_images: bool = False,
    count: int = 5,
) -> TopTokens:
    """The `count` likeliest tokens at every response position of every row, shown `images`.

    `images` holds a list per row, of the sizes that the prompts were made with. `hide_images` hides
    image tokens from attention, positions kept. Padded positions hold token 0 with probability 0.
    """
    rows, length = rollouts.mask.shape
    count = min(count, _vocabulary(model))
    tokens = torch.zeros(rows, length, count, dtype=torch.long)
    probabilities, log_probs = torch.zeros(rows, length, count), torch.zeros(rows, length)
    for part in _parts(rows, length * _vocabulary(model)):
        inputs = _inputs(model, processor, rollouts, part, [images[row] for row in part], hide_images)
        logits = model(**inputs, use_cache=False, logits_to_keep=length + 1).logits
        log_p = logits[:, :-1].float().log_softmax(-1).to(rollouts.mask.device)
        top = log_p.topk(count, dim=-1)
        valid = rollouts.mask[part].bool()
        tokens[part] = top.indices.masked_fill(~valid[..., None], 0).cpu()
        probabilities[part] = top.values.exp().masked_fill(~valid[..., None], 0.0).cpu()
        chosen = log_p.gather(-1, rollouts.response_ids[part][..., None]).squeeze(-1)
        log_probs[part] = chosen.masked_fill(~valid, 0.0).cpu()
    return TopTokens(tokens, probabilities, log_probs)


@torch.no_grad()
def occlusion(
    model: PreTrainedModel,
    processor: Any,
    rollouts: Rollouts,
    row: int,
    tokens: Sequence[int],
    hidden: ProcessedImages,
) -> Tensor:
    """KL(p ‖ p with a part hidden) of the chosen tokens of one row, in nats: float32 [C, len(tokens)].

    `hidden` holds C lists of images, each with one part hidden; p is the policy that is shown
    `rollouts.images[row]`. Many tokens take several passes, so that their logits never stand there at once.
    """
    fitting = max(1, _LOGITS_AT_ONCE // _vocabulary(model))
    if len(tokens) > fitting:
        starts = range(0, len(tokens), fitting)
        parts = [tokens[start : start + fitting] for start in starts]
        return torch.cat([occlusion(model, processor, rollouts, row, part, hidden) for part in parts], 1)
    width = rollouts.prompt_ids.shape[1]
    where = torch.tensor([width + token - 1 for token in tokens], device=rollouts.mask.device)
    per_row = len(tokens) * _vocabulary(model)
    shown = [list(rollouts.images[row]), *hidden]
    found, first = [], None
    for part in _parts(len(shown), per_row):
        inputs = _inputs(model, processor, rollouts, [row] * len(part), [shown[i] for i in part], False)
        logits = model(**inputs, use_cache=False, logits_to_keep=where).logits
        log_p = logits.float().log_softmax(-1)
        first = log_p[:1] if first is None else first
        found.append(exact_kl(first.expand_as(log_p), log_p))
    return torch.cat(found)[1:].cpu()


@torch.no_grad()
def attention_shares(model: PreTrainedModel, processor: Any, rollouts: Rollouts, row: int) -> Tensor | None:
    """Where the position that predicts each token of a row looks: float32 [3, T] in [0, 1], or None.

    The rows are the shares of attention on image tokens, on the rest of the prompt, and on the answer
    so far, each a mean over heads and layers; they sum to 1. None if the model hands out no attention.
    Attention is computed in full ("eager"), which takes memory in the square of the sequence.
    """
    length = int(rollouts.mask[row].sum())
    inputs = _inputs(model, processor, rollouts, [row], [list(rollouts.images[row])], False)
    before: Any = model.config._attn_implementation
    try:
        model.set_attn_implementation("eager")
        found = model.base_model(**inputs, use_cache=False, output_attentions=True)
    except ValueError:  # a family without eager attention
        return None
    finally:
        model.set_attn_implementation(before)
    layers = [layer for layer in (getattr(found, "attentions", None) or ()) if layer is not None]
    if not layers:
        return None
    width = rollouts.prompt_ids.shape[1]
    looking = slice(width - 1, width + length - 1)
    mean = torch.stack([layer[0, :, looking].float().mean(0).cpu() for layer in layers]).mean(0)
    is_image = (inputs["input_ids"][0] == image_token_id(model.config)).cpu()
    answer = torch.arange(mean.shape[1]) >= width
    shares = [mean[:, is_image & ~answer], mean[:, ~is_image & ~answer], mean[:, answer]]
    return torch.stack([share.sum(1) for share in shares])


def _vocabulary(model: PreTrainedModel) -> int:
    head: Any = model.get_output_embeddings()
    return head.weight.shape[0]


def _parts(rows: int, logits_per_row: int) -> Iterator[list[int]]:
    """Rows in order, as many at a time as their logits allow."""
    size = max(1, min(_MOST_ROWS, _LOGITS_AT_ONCE // max(1, logits_per_row)))
    for start in range(0, rows, size):
        yield list(range(start, min(rows, start + size)))


def _inputs(
    model: PreTrainedModel,
    processor: Any,
    rollouts: Rollouts,
    rows: Sequence[int],
    images: ProcessedImages,
    hide_images: bool,
) -> dict[str, Tensor]:
    """Everything the model takes for these rows: prompt and response, with the given images."""
    chosen = list(rows)
    ids = torch.cat([rollouts.prompt_ids[chosen], rollouts.response_ids[chosen]], 1)
    attention = torch.cat([rollouts.prompt_mask[chosen], rollouts.mask[chosen]], 1)
    vision = [image_features_inputs(model, process_images(processor, shown)) for shown in images]
    features = {name: value.to(ids.device) for name, value in concatenate(vision).items()}
    where = positions(model, ids, attention, features)
    told = {"input_ids": ids, "attention_mask": attention, "position_ids": where, **type_ids(model, ids)}
    if not hide_images:
        return {**told, **features}
    is_image = ids == image_token_id(model.config)
    if not unmasked_layers(model):
        return {**told, "attention_mask": attention.masked_fill(is_image, 0), **features}
    text = without_tokens(told, is_image)
    return {**text, **type_ids(model, text["input_ids"])}
