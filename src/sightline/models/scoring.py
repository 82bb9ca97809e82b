"""The scoring pass: rollouts seen once as they were and once with the image taken away -> scores [B, T].

This is the plain pass: every rollout runs whole, once per view. Only hidden states of the response
are kept, and `[B, T, V]` never exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from ..methods import Needs
from ..rollouts import Rollouts
from ..signals import image_state, token_statistics, visual_focus
from ..views import PixelView
from .families import concatenate, image_features_inputs, image_token_id, positions, process_images, type_ids
from .views import viewed_images

FOCUS = "visual_focus"


@dataclass(frozen=True)
class Scores:
    """What a scoring pass returns; every tensor is float32 [B, T], 0 at padded positions."""

    signals: dict[str, Tensor]
    """One entry per signal that was asked for, under its name."""
    log_probs: Tensor
    """log π(o_t | image), at the sampling temperature."""
    other_log_probs: Tensor | None
    """log π(o_t | second view); None if no second view was asked for."""


@torch.no_grad()
def score(
    model: PreTrainedModel,
    processor: Any,
    rollouts: Rollouts,
    needs: Needs,
    *,
    seed: int,
    step: int,
    temperature: float = 1.0,
    rows_per_pass: int = 16,
) -> Scores:
    """Score every response token of `rollouts` by the signals that `needs` names.

    A token's log-prob and its dependency come from the state that predicts it; its visual focus from
    its own state (VGPO App. C). Rows without an image score 0. Call it inside the model's wrapped
    forward (`engines.trl.forward`) when the parameters are sharded.
    """
    batch, length = rollouts.mask.shape
    names = sorted(needs.signals)
    blank = lambda: torch.zeros(batch, length, device=rollouts.mask.device)  # noqa: E731
    found: dict[str, Tensor] = {name: blank() for name in ["log_prob", *names]}
    if needs.view is not None:
        found["other_log_prob"] = blank()
    second = _second_images(needs, rollouts, processor, seed, step)
    was_training = model.training
    model.eval()
    try:
        for rows in _chunks(batch, rows_per_pass):
            for name, values in _score_rows(
                model, processor, rollouts, needs, rows, second, temperature
            ).items():
                found[name][rows] = values
    finally:
        model.train(was_training)
    log_probs, other = found.pop("log_prob"), found.pop("other_log_prob", None)
    return Scores(found, log_probs, other)


def _second_images(
    needs: Needs, rollouts: Rollouts, processor: Any, seed: int, step: int
) -> Sequence[Sequence[Any]] | None:
    if not isinstance(needs.view, PixelView):
        return None
    return viewed_images(needs.view, rollouts, processor, seed=seed, step=step)


def _chunks(batch: int, size: int) -> Iterator[Tensor]:
    yield from torch.arange(batch).split(max(1, size))


def _score_rows(
    model: PreTrainedModel,
    processor: Any,
    rollouts: Rollouts,
    needs: Needs,
    rows: Tensor,
    second: Sequence[Sequence[Any]] | None,
    temperature: float,
) -> dict[str, Tensor]:
    """All statistics of a few rows, each [len(rows), T]."""
    mask = rollouts.mask[rows].bool()
    length = mask.shape[1]
    inputs = _model_inputs(model, processor, rollouts, rows, rollouts.images)
    states = _hidden_states(model, inputs)
    other = None
    if needs.view is not None:
        other_inputs = (
            _model_inputs(model, processor, rollouts, rows, second)
            if second is not None
            else _text_only(model, inputs)
        )
        other = _hidden_states(model, other_inputs)[:, -length - 1 : -1][mask]
    weight, bias = _head(model)
    flat = token_statistics(
        states[:, -length - 1 : -1][mask],
        other,
        weight,
        bias,
        rollouts.response_ids[rows][mask],
        temperature=temperature,
        signals=[name for name in sorted(needs.signals) if name != FOCUS],
    )
    spread = {
        name: torch.zeros(mask.shape, device=mask.device).masked_scatter(mask, v) for name, v in flat.items()
    }
    if FOCUS in needs.signals:
        is_image = inputs["input_ids"] == image_token_id(model.config)
        spread[FOCUS] = (
            visual_focus(states[:, -length:].float(), image_state(states.float(), is_image)) * mask
        )
    return spread


def _model_inputs(
    model: PreTrainedModel, processor: Any, rollouts: Rollouts, rows: Tensor, images: Sequence[Sequence[Any]]
) -> dict[str, Tensor]:
    """Everything the backbone takes for these rows; each distinct list of pictures is processed once."""
    ids = torch.cat([rollouts.prompt_ids[rows], rollouts.response_ids[rows]], 1)
    attention = torch.cat([rollouts.prompt_mask[rows], rollouts.mask[rows]], 1)
    processed: dict[int, dict[str, Tensor]] = {}
    vision = []
    for row in rows.tolist():
        key = id(images[row])
        if key not in processed:
            processed[key] = image_features_inputs(model, process_images(processor, images[row]))
        vision.append(processed[key])
    features = {name: value.to(ids.device) for name, value in concatenate(vision).items()}
    return {
        "input_ids": ids,
        "attention_mask": attention,
        "position_ids": positions(model, ids, attention, features),
        **type_ids(model, ids),
        **features,
    }


def _text_only(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same ids at the same positions, every image token hidden from attention (PGPO App. A.1)."""
    is_image = inputs["input_ids"] == image_token_id(model.config)
    return {**inputs, "attention_mask": inputs["attention_mask"].masked_fill(is_image, 0)}


def _hidden_states(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """Last hidden states [b, P+T, D], after the final norm."""
    return model.base_model(**inputs, use_cache=False).last_hidden_state


def _head(model: PreTrainedModel) -> tuple[Tensor, Tensor | None]:
    head: Any = model.get_output_embeddings()
    weight, bias = head.weight, getattr(head, "bias", None)
    if isinstance(weight, DTensor):
        weight = weight.full_tensor()
        bias = bias.full_tensor() if isinstance(bias, DTensor) else bias
    return weight, bias
