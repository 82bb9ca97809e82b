"""Packed rows: the numbers of whole rows, in every family, and what must not run packed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_models import PACKED, build, prompts, rollouts
from torch import Tensor, nn
from transformers import AttentionMaskInterface

from sightline.models.families import image_features_inputs, image_token_id, process_prompts, type_ids
from sightline.models.generation.prompt_inputs import Prompts, make_prompts
from sightline.models.shared_prompts import layout, packing
from sightline.models.shared_prompts.attention import LAYOUT, NAME
from sightline.models.shared_prompts.packing import Packed, pack
from sightline.models.shared_prompts.share import share_prompts, why_not_packed

ORDER = [3, 0, 8, 1, 9, 10, 4, 11, 2, 5]
"""Rows of a batch of 4 prompts x 3 rollouts: prompts held in part, not in a row, the empty response last."""


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Norms and rotations that models compute in float32 are computed in float64."""
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    yield


class Batch:
    """Rollouts as whole rows and as the parts of a packed one."""

    def __init__(self, model: Any, processor: Any, longest: int = 7):
        found = rollouts(model, processor, prompts(), group=3, longest=longest)
        rows = torch.tensor(ORDER)
        self.model = model
        self.ids, self.mask = found.response_ids[rows], found.mask[rows]
        self.row_ids = torch.cat([found.prompt_ids[rows], self.ids], 1)
        self.row_mask = torch.cat([found.prompt_mask[rows], self.mask], 1)
        groups = found.group_ids[rows].tolist()
        first = [groups.index(group) for group in dict.fromkeys(groups)]
        self.owner = torch.tensor([list(dict.fromkeys(groups)).index(group) for group in groups])
        images = [found.images[row] for row in ORDER]
        self.vision = self._vision(processor, images)
        vision = self._vision(processor, [images[row] for row in first])
        begin = found.prompt_ids.shape[1]
        self.prompts = make_prompts(model, self.row_ids[first, :begin], self.row_mask[first, :begin], vision)
        random = torch.Generator().manual_seed(0)
        self.weights = torch.randn(*self.ids.shape, 32, generator=random, dtype=torch.float64)

    def _vision(self, processor: Any, images: Any) -> dict[str, Tensor]:
        found = image_features_inputs(self.model, process_prompts(processor, images)[0])
        dtype = self.model.dtype
        return {
            name: value.to(dtype) if value.is_floating_point() else value for name, value in found.items()
        }

    def whole(self, **changes: Any) -> Tensor:
        """The states that predict, [R, T, D], of whole rows."""
        given = {"input_ids": self.row_ids, "attention_mask": self.row_mask, **self.vision}
        given |= type_ids(self.model, self.row_ids)
        states = self.model.base_model(**given | changes, use_cache=False).last_hidden_state
        return states[:, -self.ids.shape[1] - 1 : -1]

    def packed(self, prompts: Prompts | None = None) -> Packed:
        return pack(prompts or self.prompts, self.owner, self.ids, self.mask.sum(1).tolist())

    def shared(self, packed: Packed) -> Tensor:
        """The same of a packed row, 0 where nothing is predicted."""
        states = self.model.base_model(**packed.inputs, use_cache=False).last_hidden_state
        columns = [packed.by_response(column) for column in states.unbind(-1)]
        return torch.stack(columns, -1)

    def gradient(self, states: Tensor) -> Tensor:
        """Of all weights, for a loss that weighs every state's numbers differently."""
        self.model.zero_grad()
        weights = self.weights.to(states.dtype) * self.mask[..., None]
        (states.tanh() * weights).sum().backward()
        return torch.cat([p.grad.flatten() for p in self.model.parameters() if p.grad is not None])


def distance(found: Tensor, wanted: Tensor) -> float:
    assert wanted.detach().norm() > 1e-3
    return ((found - wanted).norm() / wanted.norm()).item()


def agree(batch: Batch, near: float) -> None:
    wanted, found = batch.whole(), batch.shared(batch.packed())
    seen = batch.mask[..., None]
    assert distance(found * seen, wanted * seen) < near
    assert distance(batch.gradient(found), batch.gradient(wanted)) < near


@pytest.mark.parametrize("family", PACKED)
def test_states_and_gradients_are_those_of_whole_rows(family: str, exact: None) -> None:
    model, processor = build(family)
    assert share_prompts(model) is None
    agree(Batch(model.double(), processor), 1e-9)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "gemma3"])
def test_in_float32(family: str) -> None:
    model, processor = build(family)
    assert share_prompts(model) is None
    agree(Batch(model, processor), 1e-5)


@pytest.mark.parametrize("family", ["qwen3_vl", "gemma3"])
@pytest.mark.parametrize("short", [0, 256])
def test_blocks_of_queries_and_bundles_of_prompts(
    family: str, short: int, exact: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Responses longer than a block, and than Gemma 3's window of 24; prompts together and each alone."""
    monkeypatch.setattr(layout, "QUERIES", (8, 8))
    monkeypatch.setattr(packing, "_SHORT", short)
    model, processor = build(family)
    assert share_prompts(model) is None
    batch = Batch(model.double(), processor, longest=30)
    assert len(batch.packed().inputs[LAYOUT].bundles) == (1 if short else 4)
    agree(batch, 1e-9)


@pytest.mark.parametrize("family", PACKED)
def test_hidden_image_tokens_are_left_out(family: str, exact: None) -> None:
    model, processor = build(family)
    assert share_prompts(model) is None
    batch = Batch(model.double(), processor)
    image = image_token_id(model.config)
    where = batch.prompts.position_ids[..., batch.owner, :]
    own = (batch.prompts.next_position[batch.owner, None] + torch.arange(batch.ids.shape[1])).expand(
        *where.shape[:-1], -1
    )
    wanted = batch.whole(
        attention_mask=batch.row_mask.masked_fill(batch.row_ids == image, 0),
        position_ids=torch.cat([where, own], -1),
        **dict.fromkeys(batch.vision),
    )
    seen = batch.prompts.attention_mask.masked_fill(batch.prompts.input_ids == image, 0)
    packed = batch.packed(replace(batch.prompts, attention_mask=seen, vision={}))
    assert image not in packed.inputs["input_ids"]
    found = batch.shared(packed)
    assert distance(batch.gradient(found), batch.gradient(wanted)) < 1e-9


def test_nothing_is_padded_and_every_token_predicted_once() -> None:
    model, processor = build("qwen2_5_vl")
    batch = Batch(model, processor)
    packed = batch.packed()
    tokens = int((batch.prompts.attention_mask.sum(1) - 1).sum() + batch.mask.sum())
    assert packed.inputs["input_ids"].shape == (1, tokens)
    assert packed.places.sort().values.tolist() == batch.mask.flatten().nonzero().flatten().tolist()
    again = packed.by_response(packed.labels)
    assert torch.equal(again, batch.ids * batch.mask)


@pytest.mark.parametrize("family", PACKED)
def test_other_rows_stay_bit_for_bit(family: str) -> None:
    """Left-padded ones too: the mask function is registered under the same name."""
    model, processor = build(family)
    batch = Batch(model, processor)
    states = batch.whole()
    gradient = batch.gradient(states)
    assert share_prompts(model) is None
    assert torch.equal(batch.whole(), states)
    assert torch.equal(batch.gradient(batch.whole()), gradient)


def test_a_second_trainer_of_the_model_changes_nothing() -> None:
    model, processor = build("qwen2_5_vl")
    assert (share_prompts(model), share_prompts(model)) == (None, None)
    agree(Batch(model, processor), 1e-5)


def test_the_text_model_alone_is_switched() -> None:
    model, _ = build("llava")
    assert share_prompts(model) is None
    assert model.config.text_config._attn_implementation == NAME
    assert model.config.vision_config._attn_implementation == "sdpa"
    assert NAME not in str(model.config.to_dict())


def test_no_mask_of_the_whole_row_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = build("gemma3")
    assert share_prompts(model) is None
    batch = Batch(model, processor)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a mask was made")

    monkeypatch.setitem(AttentionMaskInterface._global_mapping, NAME, refuse)
    batch.shared(batch.packed())
    with pytest.raises(AssertionError, match="a mask was made"):
        batch.whole()


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing(reentrant: bool, exact: None) -> None:
    model, processor = build("qwen3_vl")
    assert share_prompts(model) is None
    batch = Batch(model.double(), processor)
    wanted = batch.gradient(batch.whole())
    model.train()
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    assert distance(batch.gradient(batch.shared(batch.packed())), wanted) < 1e-9


def test_a_layer_that_does_not_see_the_layout_is_an_error() -> None:
    model, processor = build("qwen2_5_vl")
    assert share_prompts(model) is None
    batch = Batch(model, processor)
    attention = model.get_decoder().layers[1].self_attn
    original = attention.forward
    attention.forward = lambda *given, **named: original(*given, **{**named, LAYOUT: None})
    with pytest.raises(RuntimeError, match="layers 1 did not see"):
        batch.shared(batch.packed())


def test_a_model_whose_attention_drops_the_layout_is_refused_and_left_as_it_was() -> None:
    model, _ = build("qwen2_5_vl")
    attention = model.get_decoder().layers[1].self_attn
    original = attention.forward
    attention.forward = lambda *given, **named: original(*given, **{**named, LAYOUT: None})
    reason = share_prompts(model)
    assert reason is not None and "layers 1" in reason
    assert model.config.text_config._attn_implementation == "sdpa"


def test_reasons() -> None:
    model, _ = build("qwen2_5_vl")
    assert why_not_packed(model) is None
    layer = model.get_decoder().layers[0]
    layer.self_attn.attention_dropout = 0.1
    assert "layers.0.self_attn drops out 0.1" in str(why_not_packed(model))
    layer.self_attn.attention_dropout = 0.0
    layer.extra = nn.Dropout(0.05)
    assert "drops out 0.05" in str(why_not_packed(model))
    del layer.extra
    model.set_attn_implementation({"text_config": "eager"})
    assert why_not_packed(model) == "its attention is eager, not sdpa"


def test_linear_attention_is_refused() -> None:
    """A state that runs through the row would carry one response into the next."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    text = {
        "vocab_size": 64, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 4,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "linear_num_key_heads": 2,
        "linear_num_value_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32,
    }  # fmt: skip
    model = Qwen3_5ForConditionalGeneration(Qwen3_5Config(text_config=text, vision_config=vision))
    assert "its cache has layers of kind" in str(share_prompts(model))
    assert model.config.text_config._attn_implementation != NAME


def test_a_prompt_hidden_to_its_end_is_refused() -> None:
    model, processor = build("qwen2_5_vl")
    batch = Batch(model, processor)
    hidden = batch.prompts.attention_mask.clone()
    hidden[0, -1] = 0
    with pytest.raises(ValueError, match="last token"):
        batch.packed(replace(batch.prompts, attention_mask=hidden))
