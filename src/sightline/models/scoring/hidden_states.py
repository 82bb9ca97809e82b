"""Hidden states of responses: the prompt run once for all its rollouts, or every rollout whole."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from ...errors import UserError
from ...signals import image_state
from ..families import cache_layers, image_token_id
from ..generation.prompt_inputs import Prompts

SEGMENT = 512
"""Response tokens that run at once."""


@dataclass(frozen=True)
class States:
    """Hidden states of R responses of T positions; those at padding are arbitrary."""

    predicting: Tensor
    """[R, T, D] after the final norm: position t holds the state that predicts token t."""
    own: Tensor
    """[R, T, D] of the chosen layer, at the tokens' own positions."""
    image: Tensor
    """Float32 [R, D], the mean state of the chosen layer over the prompt's image tokens."""


class SharedPrefix:
    """The prompts' states and KV cache, from which responses go on."""

    def __init__(self, model: PreTrainedModel, prompts: Prompts, layer: int):
        self.model, self.prompts, self.layer = model, prompts, layer
        self.cache = DynamicCache(config=model.config)
        self._keep(*_run(model, prompts.inputs, layer, self.cache))

    @classmethod
    def with_logits(cls, model: Any, prompts: Prompts, layer: int) -> tuple[SharedPrefix, Tensor]:
        """The same, and the logits [n, V] of the first response token, from the whole model's forward."""
        prefix = cls.__new__(cls)
        prefix.model, prefix.prompts, prefix.layer = model, prompts, layer
        prefix.cache = DynamicCache(config=model.config)
        with _backbone_states(model) as found, _states_of_layer(model, layer) as chosen:
            output = model(**prompts.inputs, past_key_values=prefix.cache, use_cache=True, logits_to_keep=1)
        prefix._keep(found[0], chosen[0] if chosen else found[0])
        return prefix, output.logits[:, -1]

    def _keep(self, states: Tensor, chosen: Tensor) -> None:
        self.last = states[:, -1]
        is_image = self.prompts.input_ids == image_token_id(self.model.config)
        self.image = image_state(chosen, is_image)
        self.prompts = replace(self.prompts, vision={})

    def of(self, places: Tensor) -> SharedPrefix:
        """The prompts `places` [m] alone, without the memory that the others take."""
        if places.tolist() == list(range(len(self.prompts))):
            return self
        part = copy.copy(self)
        part.cache = selected(self.cache, places, len(self.prompts))
        part.prompts = self.prompts.without_images(places)
        part.last, part.image = self.last[places], self.image[places]
        return part

    def respond(self, owner: Tensor, ids: Tensor, mask: Tensor) -> States:
        """Only the responses run, a segment at a time; the cache is repeated for them.

        In segments no token is compared with those of later ones, and attention masks stay narrow.
        """
        cache = selected(self.cache, owner, len(self.prompts))
        where = response_positions(self.prompts, owner, ids.shape[1])
        seen = torch.cat([self.prompts.attention_mask[owner], mask], 1)
        found, prompt = [], self.prompts.attention_mask.shape[1]
        for start in range(0, ids.shape[1], SEGMENT):
            part = slice(start, start + SEGMENT)
            inputs = {
                "input_ids": ids[:, part],
                "attention_mask": seen[:, : prompt + start + SEGMENT],
                "position_ids": where[..., part],
            }
            found.append(_run(self.model, inputs, self.layer, cache))
        states, chosen = (torch.cat(side, 1) for side in zip(*found, strict=True))
        predicting = torch.cat([self.last[owner, None], states[:, :-1]], 1)
        return States(predicting, chosen, self.image[owner])


def whole(model: PreTrainedModel, prompts: Prompts, ids: Tensor, mask: Tensor, layer: int) -> States:
    """Each of n responses [n, T] behind its own copy of its prompt: the plain pass."""
    length = ids.shape[1]
    where = response_positions(prompts, torch.arange(len(ids), device=ids.device), length)
    inputs = {
        "input_ids": torch.cat([prompts.input_ids, ids], 1),
        "attention_mask": torch.cat([prompts.attention_mask, mask], 1),
        "position_ids": torch.cat([prompts.position_ids, where], -1),
        **{name: torch.cat([value, torch.zeros_like(ids)], 1) for name, value in prompts.types.items()},
        **prompts.vision,
    }
    states, chosen = _run(model, inputs, layer, None)
    is_image = prompts.input_ids == image_token_id(model.config)
    mean = image_state(chosen[:, : is_image.shape[1]], is_image)
    return States(states[:, -length - 1 : -1], chosen[:, -length:], mean)


def response_positions(prompts: Prompts, owner: Tensor, length: int) -> Tensor:
    """Position ids of `length` tokens after each prompt, [R, T] or [3, R, T]; text counts on by one."""
    where = prompts.next_position[owner, None] + torch.arange(length, device=owner.device)
    return where.expand(3, -1, -1) if prompts.position_ids.dim() == 3 else where


def selected(cache: DynamicCache, owner: Tensor, size: int) -> DynamicCache:
    """The rows `owner` of a cache of `size` rows as a cache of its own; the original stays as it is."""
    chosen = copy.copy(cache)
    chosen.layers = [copy.copy(layer) for layer in cache.layers]
    if owner.tolist() != list(range(size)):
        chosen.batch_select_indices(owner)
    return chosen


def _run(
    model: PreTrainedModel, inputs: dict[str, Tensor], layer: int, cache: DynamicCache | None
) -> tuple[Tensor, Tensor]:
    """The states after the final norm, and those of the chosen layer, both [n, S, D]."""
    with _states_of_layer(model, layer) as found:
        states = model.base_model(
            **inputs, past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state
    return states, found[0] if found else states


@contextlib.contextmanager
def _backbone_states(model: Any) -> Iterator[list[Tensor]]:
    """Collects the states after the final norm while the whole model runs."""
    found: list[Tensor] = []
    hook = model.base_model.register_forward_hook(
        lambda module, given, output: found.append(output.last_hidden_state)
    )
    try:
        yield found
    finally:
        hook.remove()


@contextlib.contextmanager
def _states_of_layer(model: Any, layer: int) -> Iterator[list[Tensor]]:
    """Collects one layer's states while the backbone runs; stays empty for the last, after the norm.

    Numbered like transformers' `hidden_states`: 0 is the embeddings, k what decoder layer k put out.
    """
    found: list[Tensor] = []
    if layer == -1:
        yield found
        return
    layers, index = model.get_decoder().layers, layer_index(model, layer)
    if index == len(layers):
        yield found
        return

    def entering(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        found.append(given[0] if given else named["hidden_states"])

    def leaving(module: Any, given: tuple[Any, ...], output: Any) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)

    if index == 0:
        handle = layers[0].register_forward_pre_hook(entering, with_kwargs=True)
    else:
        handle = layers[index - 1].register_forward_hook(leaving)
    try:
        yield found
    finally:
        handle.remove()


def layer_index(model: Any, layer: int) -> int:
    """The number of a layer as transformers' `hidden_states` counts, from 0, the embeddings.

    Raises:
        UserError: the model has no such layer.
    """
    last = len(model.get_decoder().layers)
    index = layer if layer >= 0 else layer + last + 1
    if not 0 <= index <= last:
        raise UserError(f"layer {layer} does not exist; the model has layers 0 to {last}, or −1 for the last")
    return index


def why_not_shared(model: PreTrainedModel) -> str | None:
    """Why a prompt cannot be run once for all its rollouts; None if it can."""
    unknown = cache_layers(model) - {"DynamicLayer", "DynamicSlidingWindowLayer"}
    if unknown:
        return f"its cache has layers of kind {', '.join(sorted(unknown))}"
    if model.config.get_text_config().is_encoder_decoder:
        return "it has an encoder that reads the prompt"
    return None
