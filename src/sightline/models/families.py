"""What differs between families of vision-language models, read off their configs and signatures.

Nothing here lists model names where a property of the config says the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, PreTrainedModel

from ..views import is_final

_PLACEHOLDER_NAMES = ("image_token", "video_token", "audio_token", "vision_start_token", "vision_end_token",
                      "boi_token", "eoi_token")  # fmt: skip
_TEXT_KEYS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


def image_token_id(config: Any) -> int:
    """The id that stands for one image feature in the token sequence."""
    for name in ("image_token_id", "image_token_index"):
        if isinstance(getattr(config, name, None), int):
            return getattr(config, name)
    raise ValueError(
        f"{type(config).__name__} names no image token; expected image_token_id or image_token_index"
    )


def placeholder_ids(config: Any) -> list[int]:
    """Ids of every multimodal placeholder, which a policy must never sample (a sampled image token
    makes the next forward raise: features and tokens no longer match). Never an end-of-sequence id."""
    ids = set()
    for name in _PLACEHOLDER_NAMES:
        for suffix in ("_id", "_index"):
            value = getattr(config, name + suffix, None)
            if isinstance(value, int):
                ids.add(value)
    return sorted(ids - set(end_ids(config)))


def placeholder_words(processor: Any, config: Any) -> list[str]:
    """Text that the tokenizer or the processor takes for a multimodal placeholder."""
    words = processor.tokenizer.convert_ids_to_tokens(placeholder_ids(config))
    own = [getattr(processor, name, None) for name in ("image_token", "boi_token")]
    return sorted({word for word in [*words, *own] if isinstance(word, str) and word})


def end_ids(config: Any) -> list[int]:
    """End-of-sequence ids named by a config."""
    value = getattr(config.get_text_config(), "eos_token_id", None)
    return [] if value is None else [value] if isinstance(value, int) else list(value)


def own_end_ids(model: PreTrainedModel) -> list[int]:
    """End-of-sequence ids that the model generates with, often more than its config names."""
    value = getattr(model.generation_config, "eos_token_id", None)
    return [] if value is None else [value] if isinstance(value, int) else list(value)


def longest_sequence(config: Any) -> int | None:
    """How many positions the text model was made for; None if its config does not say."""
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def type_ids(
    model: PreTrainedModel, input_ids: Tensor, of: Callable[..., Any] | None = None
) -> dict[str, Tensor]:
    """The token-type input of `model`'s family (1 on image tokens), as keyword arguments; may be empty.

    Those that `of` takes, the backbone's forward by default.
    """
    accepted = inspect.signature(of or model.base_model.forward).parameters
    is_image = (input_ids == image_token_id(model.config)).to(torch.int64)
    return {name: is_image for name in ("mm_token_type_ids", "token_type_ids") if name in accepted}


def image_features_inputs(model: PreTrainedModel, processed: dict[str, Any]) -> dict[str, Tensor]:
    """Of what an image processor returned, the tensors that `model`'s forward takes."""
    accepted = inspect.signature(model.base_model.forward).parameters
    return {key: value for key, value in processed.items() if key in accepted and isinstance(value, Tensor)}


def process_images(processor: Any, images: Sequence[Any]) -> dict[str, Any]:
    """One prompt's images as the model's vision inputs; {} for a text-only prompt."""
    return process_prompts(processor, [images])[0]


def process_prompts(processor: Any, prompts: Sequence[Sequence[Any]]) -> tuple[dict[str, Any], Tensor]:
    """Vision inputs of several prompts' images side by side, and the ids of their placeholders, padded.

    The whole processor runs, over a text of placeholders alone: some families keep settings of the
    image half (tiles, aspect ratio) there. Images whose size is final (`views.at_final_size`) are not
    resized: a processor's rounding is not idempotent, and a view must keep the grid of its image.
    """
    if not any(prompts):
        return {}, torch.zeros(len(prompts), 0, dtype=torch.long)
    one = _image_word(processor)
    final = all(is_final(image) for images in prompts for image in images)
    found = processor(
        images=[list(images) for images in prompts],
        text=[one * len(images) for images in prompts],
        padding=True,
        return_tensors="pt",
        add_special_tokens=False,
        **({"do_resize": False} if final else {}),
    )
    return {key: value for key, value in found.items() if key not in _TEXT_KEYS}, found["input_ids"]


def _image_word(processor: Any) -> str:
    """What stands for one image in a prompt's text before the processor expands it.

    A few families write the token that begins an image there (Gemma 3), all others the image token; the chat
    template of a family that has both says which.
    """
    begin = getattr(processor, "boi_token", None)
    if begin is None or begin == processor.image_token:
        return processor.image_token
    asked = [{"role": "user", "content": [{"type": "image"}]}]
    written = processor.apply_chat_template(asked, tokenize=False)
    return begin if begin in written and processor.image_token not in written else processor.image_token


def concatenate(prompts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Vision inputs of several prompts as one batch, along the first dimension.

    Trailing dimensions that differ (number of images or tiles of a row) are padded with zeros,
    which the families that have such dimensions recognise as absent.
    """
    keys = dict.fromkeys(key for prompt in prompts for key in prompt)
    return {key: _concatenate([p[key] for p in prompts if key in p]) for key in keys}


def _concatenate(tensors: list[Tensor]) -> Tensor:
    largest = [max(sizes) for sizes in zip(*(t.shape[1:] for t in tensors), strict=True)]
    padded = []
    for tensor in tensors:
        missing = [(want - have) for want, have in zip(largest, tensor.shape[1:], strict=True)]
        padding = [side for amount in reversed(missing) for side in (0, amount)]
        padded.append(functional.pad(tensor, padding) if any(missing) else tensor)
    return torch.cat(padded)


def positions(model: Any, input_ids: Tensor, attention_mask: Tensor, vision: dict[str, Tensor]) -> Tensor:
    """Position ids of the full sequence: [B, S], or [3, B, S] for families with multimodal rotary positions.

    They are what the model would compute itself; given explicitly, they stay when image tokens are
    hidden from attention or dropped.
    """
    if hasattr(model.base_model, "get_rope_index") and "image_grid_thw" in vision:
        rope_index = model.base_model.get_rope_index
        index, _ = rope_index(
            input_ids,
            image_grid_thw=vision["image_grid_thw"],
            attention_mask=attention_mask,
            **type_ids(model, input_ids, of=rope_index),  # verl's forwards do not name what they pass on
        )
        return index
    return (attention_mask.long().cumsum(-1) - 1).clamp(min=0)


def cached(model: Any, cache: Any) -> dict[str, Any]:
    """The keyword under which forwards take a cache: `cache` from transformers 5.24 on, before that
    `past_key_values`."""
    names = inspect.signature(type(model.base_model).forward).parameters
    return {"cache" if "cache" in names else "past_key_values": cache}


def cache_layers(model: PreTrainedModel) -> set[str]:
    """The kinds of layer that a cache of `model` has, by the names of transformers' classes.

    Layers that read another one's keys and values have none of their own.
    """
    return {type(layer).__name__ for layer in DynamicCache(config=model.config).layers} - {"DummyLayer"}


_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
CACHES_OF_ATTENTION = {"DynamicLayer", "DynamicSlidingWindowLayer"}
"""transformers' classes of cache layers whose rows can be repeated, and whose tokens a mask hides."""


def unmasked_layers(model: PreTrainedModel) -> set[str]:
    """The kinds of layer that carry a token on although an attention mask hides it: linear attention,
    convolutions, state spaces. Empty where every layer is attention."""
    named: Iterable[str] = getattr(model.config.get_text_config(), "layer_types", None) or ()
    kinds = set(named) - _ATTENTION
    return kinds or cache_layers(model) - CACHES_OF_ATTENTION


def drops_image_tokens(model: PreTrainedModel) -> bool:
    """Whether images are taken away by leaving their tokens out, all others at unchanged positions.

    So it is where every layer attends over the whole sequence, since hiding them from attention is the same
    computation, and where there are layers that an attention mask does not reach, since hiding would leave
    the image in sight. A sliding window counts tokens, so that leaving some out would widen it.
    """
    return bool(unmasked_layers(model)) or cache_layers(model) == {"DynamicLayer"}


def without_tokens(inputs: Mapping[str, Any], left_out: Tensor) -> dict[str, Any]:
    """A forward's `inputs` of rows [B, S] without the tokens `left_out` [B, S], padded on the left.

    Everything that has an entry a token goes along: ids, mask, labels, positions [B, S] or [3, B, S].
    """
    shape = left_out.shape
    kept = ~left_out
    order = kept.long().sort(dim=1, stable=True).indices[:, int(left_out.sum(1).min()) :]
    stays = kept.gather(1, order)
    found: dict[str, Any] = {}
    for name, value in inputs.items():
        if isinstance(value, Tensor) and value.shape == shape:
            value = value.gather(1, order)
            found[name] = value * stays if name in ("attention_mask", "input_ids") else value
        elif isinstance(value, Tensor) and value.dim() == 3 and value.shape[1:] == shape:
            found[name] = value.gather(2, order.expand(len(value), -1, -1))
        else:
            found[name] = value
    return found
