"""An image that several rows show is encoded once: the same loss and gradient, in every family."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from tiny_models import FAMILIES, build, prompts
from torch import Tensor

from sightline.engines.trl.trainer.image_sharing import with_shared_images
from sightline.engines.vision_tower_sync import sync_vision_tower
from sightline.models.families import cached, image_features_inputs, type_ids

ORDER = [0, 1, 2, 3, 2, 0, 0, 3]
"""Rows of a shuffled micro-batch, by prompt: one image, none, two, one of another shape."""


def micro_batch(model: Any, processor: Any, order: list[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What TRL gives a forward, and what it knows about the batch."""
    asked = [prompts()[number] for number in order]
    texts = [
        processor.apply_chat_template(list(one.messages), add_generation_prompt=True, tokenize=False)
        for one in asked
    ]
    found = processor(
        text=texts,
        images=[list(one.images) for one in asked] if any(one.images for one in asked) else None,
        padding=True,
        return_tensors="pt",
        add_special_tokens=False,
    )
    found.update(type_ids(model, found["input_ids"]))
    inputs = {
        "input_ids": found["input_ids"],
        "attention_mask": found["attention_mask"],
        **image_features_inputs(model, dict(found)),
    }
    batch: dict[str, Any] = {"num_images": [len(one.images) for one in asked]}
    if type(model).__name__.startswith(("InternVL", "Cohere2Vision")):
        tokens = (found["input_ids"] == model.config.image_token_id).sum(1)
        batch["num_tiles"] = (tokens // 4).tolist()
    if type(model).__name__.startswith("Lfm2Vl"):
        batch["num_tiles"] = batch["num_images"]
    return inputs, batch


def tower_of(model: Any) -> Any:
    names = ("visual", "vision_tower", "vision_model")
    return next(m for n, m in model.named_modules() if n.split(".")[-1] in names)


def loss_and_gradient(model: Any, inputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    """A loss that weighs every token differently."""
    model.zero_grad()
    states = model.base_model(**inputs, use_cache=False).last_hidden_state
    weights = torch.linspace(-1, 1, states.numel()).view_as(states)
    seen = inputs["attention_mask"][..., None]
    loss = (states.tanh() * weights * seen).sum() / seen.sum()
    loss.backward()
    return loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def takes_features(model: Any) -> bool:
    """Whether the family takes features of images for pixels, as newer versions of transformers do."""
    return "mm_encoder_outputs" in inspect.signature(type(model.base_model).forward).parameters


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradient_stay_the_same(family: str) -> None:
    model, processor = build(family)
    # A prompt with two images is not cut into tiles by LLaVA-OneVision, which TRL cannot tell its forward.
    order = [number for number in ORDER if number != 2] if family == "llava_onevision" else ORDER
    inputs, batch = micro_batch(model, processor, order)
    encoded: list[int] = []
    tower_of(model).register_forward_pre_hook(
        lambda _, given, named: encoded.append((given[0] if given else named["pixel_values"]).shape[0]),
        with_kwargs=True,
    )
    loss, gradient = loss_and_gradient(model, inputs)
    shared = with_shared_images(model, inputs, batch)
    if not takes_features(model):
        assert shared is inputs
        return
    assert "pixel_values" not in shared
    shared_loss, shared_gradient = loss_and_gradient(model, shared)
    assert encoded[1] < encoded[0]
    torch.testing.assert_close(shared_loss, loss, atol=1e-5, rtol=1e-5)
    assert shared_gradient.keys() == gradient.keys()
    for name, values in gradient.items():
        scale = values.abs().max().clamp(min=1e-2)  # a key's bias has no gradient but rounding
        torch.testing.assert_close(
            shared_gradient[name] / scale, values / scale, atol=1e-5, rtol=1e-5, msg=name
        )


def test_other_images_of_the_same_size_are_not_taken_for_the_same() -> None:
    model, processor = build("qwen3_vl")
    inputs, batch = micro_batch(model, processor, [0, 0, 3])
    half = inputs["pixel_values"].shape[0] // 3
    inputs["pixel_values"] = inputs["pixel_values"].clone()
    first, second = inputs["pixel_values"][:16], inputs["pixel_values"][16:32]
    second.copy_(first.flip(0))  # another image with the same sum
    assert half > 0
    assert with_shared_images(model, inputs, batch) is inputs
    second.copy_(first)
    assert (with_shared_images(model, inputs, batch) is not inputs) == takes_features(model)


@pytest.mark.parametrize("family", FAMILIES)
def test_modules_are_called_in_one_order_whatever_the_rows_show(family: str) -> None:
    """Sharded parameters are gathered call by call, so that ranks whose orders differ wait for ever."""
    model, processor = build(family)
    several, batch = micro_batch(model, processor, [0, 0, 3])
    single, _ = micro_batch(model, processor, [0, 3])
    text, _ = micro_batch(model, processor, [1, 1])
    sync_vision_tower(model, processor)
    called: list[str] = []
    parts = {"embedding": model.get_input_embeddings(), "tower": tower_of(model)}
    parts["decoder"] = model.get_decoder().layers[0]
    for name, part in parts.items():
        part.register_forward_hook(lambda *_, name=name: called.append(name))
    gradients = []
    for inputs in (single, with_shared_images(model, several, batch), text):
        called.clear()
        gradients.append(loss_and_gradient(model, inputs)[1])
        assert called == ["embedding", "tower", "decoder"]
    seen, _, blind = gradients
    assert blind.keys() == seen.keys(), "ranks reduce the same gradients"
    assert all(not values.any() for name, values in blind.items() if "vis" in name)


def test_a_blank_image_counts_nothing_and_decoding_goes_without() -> None:
    model, processor = build("qwen3_vl")
    inputs, _ = micro_batch(model, processor, [1, 1])
    loss, gradient = loss_and_gradient(model, inputs)
    sync_vision_tower(model, processor)
    same, found = loss_and_gradient(model, inputs)
    assert torch.equal(same, loss)
    assert all(torch.equal(found[name], values) for name, values in gradient.items())
    called: list[int] = []
    tower_of(model).register_forward_hook(lambda *_: called.append(1))
    with torch.enable_grad():
        first = model(**inputs, use_cache=True)
        assert len(called) == 1
        cache = first["cache" if "cache" in first else "past_key_values"]
        for named in ({"past_key_values": cache}, cached(model, cache)):
            model(input_ids=inputs["input_ids"][:, -1:], **named, use_cache=True)
    assert len(called) == 1
    with torch.no_grad():
        model(**inputs)
    assert len(called) == 1, "one rank's weights are whole, and nobody waits for it"
