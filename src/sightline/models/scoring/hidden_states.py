"""Hidden states of responses: the prompt run once for all its rollouts, or every rollout whole."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from ...errors import UserError
from ...methods import Needs
from ...signals import Signal, signal
from ..families import CACHES_OF_ATTENTION, cache_layers, cached, image_token_id
from ..generation.prompt_inputs import Prompts
from .sampled_states import SampledStates

NOT_SHARED = "why_not_shared"
"""Attribute of a model whose shared prompts a self-test found wrong, and why (`models.self_test`)."""
SEGMENT = 512
"""Response tokens that run at once."""


@dataclass(frozen=True)
class Reading:
    """Which signals read hidden states on the way, and those of which layer.

    Signals that read every layer take the mean over all of them, as the backbone runs: nothing wider than a
    number a token is kept of them.
    """

    layer: int = -1
    """Numbered like transformers' `hidden_states`: 0 is the embeddings, −1 the last one, after the norm."""
    signals: tuple[str, ...] = ()

    @classmethod
    def of(cls, needs: Needs) -> Reading:
        """What a scoring pass for `needs` reads of hidden states."""
        return cls(needs.layer, tuple(sorted(n for n in needs.signals if signal(n).reads == "hidden")))

    def covers(self, other: Reading) -> bool:
        """Whether what this one reads is enough for another."""
        return set(other.signals) <= set(self.signals) and (self.layer == other.layer or not other.signals)

    def reads_only_the_last_layer(self, model: Any) -> bool:
        """Whether the states after the final norm are all that is read."""
        return set(self.by_layer(model)) <= {len(model.get_decoder().layers)}

    def by_layer(self, model: Any) -> dict[int, list[Signal]]:
        """Each layer's number -> the signals that read it, in the order in which layers run."""
        last = len(model.get_decoder().layers)
        chosen = layer_index(model, self.layer)
        rows = [signal(name) for name in self.signals]
        found = {
            layer: [row for row in rows if row.every_layer or layer == chosen] for layer in range(last + 1)
        }
        return {layer: rows for layer, rows in found.items() if rows}


ImageVectors = dict[tuple[str, int], Tensor]
"""(signal, layer) -> float32 [n, D], what the signal's `image` makes of each prompt's image tokens there."""


@dataclass(frozen=True)
class States:
    """What a pass leaves of R responses of T positions; at padding it is arbitrary."""

    predicting: Tensor
    """[R, T, D] after the final norm: position t holds the state that predicts token t."""
    read: dict[str, Tensor]
    """[R, T] of each signal that reads hidden states, those at the tokens' own positions."""


class _Reader:
    """Collects what signals read of each layer while the backbone runs."""

    def __init__(self, reading: Reading, model: Any):
        self.by_layer = reading.by_layer(model)
        rows = [row for rows in self.by_layer.values() for row in rows]
        self.layers = {row.name: sum(row is other for other in rows) for row in rows}
        self.total: dict[str, Tensor] = {}

    def add(self, row: Signal, states: Tensor, vector: Tensor) -> None:
        """Add one layer's states [R, T, D] to a signal's mean."""
        value = row.formula(states, vector)
        self.total[row.name] = value if row.name not in self.total else self.total[row.name] + value

    def means(self) -> dict[str, Tensor]:
        """Each signal's mean over the layers it read; the next run begins at 0."""
        total, self.total = self.total, {}
        return {
            name: value if self.layers[name] == 1 else value / self.layers[name]
            for name, value in total.items()
        }


class SharedPrefix:
    """The prompts' KV cache and what is kept of their states, from which responses go on.

    `responses` are those that sampling ran behind them, if their states were kept. `reading` may be a
    layer's number, for visual focus there.
    """

    def __init__(self, model: PreTrainedModel, prompts: Prompts, reading: Reading | int):
        self._begin(model, prompts, reading)
        with self._image_vectors():
            states = _run(model, prompts.inputs, self.cache)
        self._keep(states)

    @classmethod
    def with_logits(cls, model: Any, prompts: Prompts, reading: Reading | int) -> tuple[SharedPrefix, Tensor]:
        """The same, and the logits [n, V] of the first response token, from the whole model's forward."""
        prefix = cls.__new__(cls)
        prefix._begin(model, prompts, reading)
        # As a place, not a count: some families leave the rest of the prompt out of their last layers else.
        last = torch.tensor([prompts.input_ids.shape[1] - 1], device=prompts.input_ids.device)
        with backbone_states(model) as found, prefix._image_vectors():
            output = model(
                **prompts.inputs, **cached(model, prefix.cache), use_cache=True, logits_to_keep=last
            )
        prefix._keep(found[0])
        return prefix, output.logits[:, -1]

    def _begin(self, model: Any, prompts: Prompts, reading: Reading | int) -> None:
        self.model, self.prompts = model, prompts
        self.reading = Reading(reading, ("visual_focus",)) if isinstance(reading, int) else reading
        self.cache = DynamicCache(config=model.config)
        self.image: ImageVectors = {}
        self.responses: SampledStates | None = None

    def _image_vectors(self) -> contextlib.AbstractContextManager[None]:
        is_image = self.prompts.input_ids == image_token_id(self.model.config)
        by_layer = self.reading.by_layer(self.model)

        def visit(layer: int, states: Tensor) -> None:
            for row in by_layer[layer]:
                self.image[row.name, layer] = _image_vector(row, states, is_image)

        return _visited(self.model, by_layer, visit)

    def _keep(self, states: Tensor) -> None:
        self.last = states[:, -1]
        self.prompts = replace(self.prompts, vision={})

    def of(self, places: Tensor) -> SharedPrefix:
        """The prompts `places` [m] alone, without the memory that the others take."""
        if places.tolist() == list(range(len(self.prompts))):
            return self
        part = copy.copy(self)
        part.cache = selected(self.cache, places, len(self.prompts))
        part.prompts = self.prompts.without_images(places)
        part.last = self.last[places]
        part.image = {key: vectors[places] for key, vectors in self.image.items()}
        return part

    def recall(self, owner: Tensor, states: Tensor) -> States:
        """What `respond` returns for responses whose states [R, T, D] at their own tokens are known.

        For a reading of the last layer alone.
        """
        read = {
            row.name: row.formula(states, self.image[row.name, layer][owner])
            for layer, rows in self.reading.by_layer(self.model).items()
            for row in rows
        }
        return States(torch.cat([self.last[owner, None], states[:, :-1]], 1), read)

    def respond(self, owner: Tensor, ids: Tensor, mask: Tensor) -> States:
        """Only the responses run, a segment at a time; the cache is repeated for them.

        In segments no token is compared with those of later ones, and attention masks stay narrow.
        """
        cache = selected(self.cache, owner, len(self.prompts))
        where = response_positions(self.prompts, owner, ids.shape[1])
        seen = torch.cat([self.prompts.attention_mask[owner], mask], 1)
        reader, vectors = _Reader(self.reading, self.model), {k: v[owner] for k, v in self.image.items()}
        found: list[Tensor] = []
        read: list[dict[str, Tensor]] = []
        prompt = self.prompts.attention_mask.shape[1]

        def visit(layer: int, states: Tensor) -> None:
            for row in reader.by_layer[layer]:
                reader.add(row, states, vectors[row.name, layer])

        for start in range(0, ids.shape[1], SEGMENT):
            part = slice(start, start + SEGMENT)
            inputs = {
                "input_ids": ids[:, part],
                "attention_mask": seen[:, : prompt + start + SEGMENT],
                "position_ids": where[..., part],
            }
            with _visited(self.model, reader.by_layer, visit):
                found.append(_run(self.model, inputs, cache))
            read.append(reader.means())
        states = torch.cat(found, 1)
        predicting = torch.cat([self.last[owner, None], states[:, :-1]], 1)
        return States(predicting, {name: torch.cat([part[name] for part in read], 1) for name in read[0]})


def whole(model: PreTrainedModel, prompts: Prompts, ids: Tensor, mask: Tensor, reading: Reading) -> States:
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
    is_image = prompts.input_ids == image_token_id(model.config)
    reader = _Reader(reading, model)

    def visit(layer: int, states: Tensor) -> None:
        for row in reader.by_layer[layer]:
            vector = _image_vector(row, states[:, : is_image.shape[1]], is_image)
            reader.add(row, states[:, -length:], vector)

    with _visited(model, reader.by_layer, visit):
        states = _run(model, inputs, None)
    return States(states[:, -length - 1 : -1], reader.means())


def _image_vector(row: Signal, states: Tensor, is_image: Tensor) -> Tensor:
    if row.image is None:
        raise TypeError(f"signal {row.name} reads hidden states and has no `image`")
    return row.image(states, is_image)


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


def _run(model: PreTrainedModel, inputs: dict[str, Tensor], cache: DynamicCache | None) -> Tensor:
    """The states after the final norm, [n, S, D]."""
    output = model.base_model(**inputs, **cached(model, cache), use_cache=cache is not None)
    return output.last_hidden_state


@contextlib.contextmanager
def backbone_states(model: Any) -> Iterator[list[Tensor]]:
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
def _visited(model: Any, layers: Collection[int], visit: Callable[[int, Tensor], None]) -> Iterator[None]:
    """Calls `visit(layer, states [n, S, D])` for each of `layers` while the backbone runs.

    Numbered like transformers' `hidden_states`: 0 is the embeddings, k what decoder layer k put out, and the
    last one is after the final norm.
    """
    modules = model.get_decoder().layers
    handles = []

    def entering(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        visit(0, given[0] if given else named["hidden_states"])

    def leaving(layer: int) -> Callable[..., None]:
        return lambda module, given, output: visit(layer, output[0] if isinstance(output, tuple) else output)

    def ending(module: Any, given: tuple[Any, ...], output: Any) -> None:
        visit(len(modules), output.last_hidden_state)

    for layer in layers:
        if layer == len(modules):
            handles.append(model.base_model.register_forward_hook(ending))
        elif layer == 0:
            handles.append(modules[0].register_forward_pre_hook(entering, with_kwargs=True))
        else:
            handles.append(modules[layer - 1].register_forward_hook(leaving(layer)))
    try:
        yield
    finally:
        for handle in handles:
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
    if (found := getattr(model, NOT_SHARED, None)) is not None:
        return found
    unknown = cache_layers(model) - CACHES_OF_ATTENTION
    if unknown:
        return f"its cache has layers of kind {', '.join(sorted(unknown))}"
    if model.config.get_text_config().is_encoder_decoder:
        return "it has an encoder that reads the prompt"
    return None
