"""Image placeholder tokens: one per image towards vLLM, never sampled, never written by a prompt's text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from PIL import Image

from ..errors import UserError
from ..models.families import image_token_id, placeholder_ids

_LEAST_BIAS = -100.0
"""The smallest logit bias that vLLM takes; no sampled token comes back from it."""


class SamplerSettings(Protocol):
    """The settings that say which sampler runs and what the user asked of it."""

    use_vllm: bool
    vllm_mode: Any
    generation_kwargs: Any


def without_placeholders(settings: SamplerSettings, config: Any, tokenizer: Any) -> dict[str, Any]:
    """`generation_kwargs` under which no multimodal placeholder is ever sampled, on any path.

    transformers suppresses ids, vLLM beside the trainer takes a bias on ids, and a vLLM server, which is
    asked in JSON, takes words. What the user bans stays banned.
    """
    given = dict(settings.generation_kwargs or {})
    banned = placeholder_ids(config)
    if not banned:
        return given
    if not settings.use_vllm:
        return given | {"suppress_tokens": sorted({*banned, *(given.get("suppress_tokens") or ())})}
    if settings.vllm_mode == "colocate":
        asked = {int(token): bias for token, bias in (given.get("logit_bias") or {}).items()}  # JSON has text
        return given | {"logit_bias": asked | dict.fromkeys(banned, _LEAST_BIAS)}
    words = tokenizer.convert_ids_to_tokens(banned)
    return given | {"bad_words": list(dict.fromkeys([*(given.get("bad_words") or ()), *words]))}


def one_token_per_image(ids: Sequence[int], placeholder: int, images: int, row: int = 0) -> list[int]:
    """A prompt's ids with every run of image tokens shortened to one token.

    TRL hands vLLM the ids that the processor has expanded, together with the images, and vLLM expands
    each image token again (TRL issue 6294). It has to be given one token an image.

    Raises:
        ValueError: there are not as many runs of image tokens as images.
    """
    runs = [(token, len(list(same))) for token, same in groupby(ids)]
    short = [token for token, count in runs for _ in range(1 if token == placeholder else count)]
    found = short.count(placeholder)
    if found != images:
        raise ValueError(
            f"prompt {row} has {images} images but {found} runs of image token {placeholder}; a chat "
            "template that sets images side by side cannot be sampled by vLLM here, use vllm_mode: server"
        )
    return short


def shortened(prompts: Sequence[Sequence[int]], images: Sequence[Any] | None, placeholder: int) -> list[Any]:
    """`one_token_per_image` for every prompt of a batch; text-only prompts stay as they are."""
    return [
        one_token_per_image(ids, placeholder, len(shown), row) if shown else list(ids)
        for row, (ids, shown) in enumerate(zip(prompts, images or [None] * len(prompts), strict=True))
    ]


def check_shortened(processor: Any, config: Any) -> None:
    """Refuse a family whose processor adds more than copies of the image token, as vLLM would add it again.

    Raises:
        UserError: a prompt shortened is not the prompt as it was written.
    """
    placeholder = image_token_id(config)
    asked: list[Mapping[str, Any]] = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]}
    ]
    text = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    image = Image.new("RGB", (64, 64))
    expanded = processor(text=[text], images=[[image]], add_special_tokens=False)["input_ids"][0]
    written = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    try:
        same = one_token_per_image(list(expanded), placeholder, 1) == list(written)
    except ValueError:
        same = False
    if not same:
        raise UserError(
            f"vllm_mode colocate cannot be used with {config.model_type}: its processor puts more into a "
            "prompt than copies of the image token; use vllm_mode: server, or use_vllm: false"
        )


def without_forged_images(
    messages: list[dict[str, Any]], placeholders: Sequence[str]
) -> tuple[list[dict[str, Any]], str | None]:
    """Messages whose text holds no placeholder, and which one it held, in words."""
    held = [word for word in placeholders if any(word in text for text in _texts(messages))]
    if not held:
        return messages, None

    def clean(part: dict[str, Any]) -> dict[str, Any]:
        return part | {"text": _without(part["text"], held)} if part["type"] == "text" else part

    cleaned = [
        message
        | {
            "content": _without(message["content"], held)
            if isinstance(message["content"], str)
            else [clean(part) for part in message["content"]]
        }
        for message in messages
    ]
    return cleaned, f"its text holds {held[0]}, which stands for an image"


def _texts(messages: Sequence[dict[str, Any]]) -> list[str]:
    contents = [message["content"] for message in messages]
    parts = [part for content in contents if not isinstance(content, str) for part in content]
    return [c for c in contents if isinstance(c, str)] + [p["text"] for p in parts if p["type"] == "text"]


def _without(text: str, words: Sequence[str]) -> str:
    """`text` without any of `words`, also those that only come about as others leave."""
    while any(word in text for word in words):
        for word in words:
            text = text.replace(word, "")
    return text
