"""Image placeholder tokens: one per image towards vLLM, never sampled, never written by a prompt's text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Protocol

from PIL import Image

from ..errors import UserError
from ..models.families import image_token_id, placeholder_ids
from ..models.vllm_prompts import image_runs

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
    each image token again (TRL issue 6294). It has to be given one token an image: those of the template's
    text, or where that is not at hand (a turn after a tool's), these.

    Raises:
        ValueError: there are not as many runs of image tokens as images.
    """
    runs = [(token, len(list(same))) for token, same in groupby(ids)]
    short = [token for token, count in runs for _ in range(1 if token == placeholder else count)]
    found = short.count(placeholder)
    if found != images:
        raise ValueError(f"prompt {row} has {images} images but {found} runs of image token {placeholder}")
    return short


def shortened(prompts: Sequence[Sequence[int]], images: Sequence[Any] | None, placeholder: int) -> list[Any]:
    """`one_token_per_image` for every prompt of a batch; text-only prompts stay as they are."""
    return [
        one_token_per_image(ids, placeholder, len(shown), row) if shown else list(ids)
        for row, (ids, shown) in enumerate(zip(prompts, images or [None] * len(prompts), strict=True))
    ]


def check_server_prompts(processor: Any, config: Any, several: bool) -> None:
    """Refuse a family whose image tokens a vLLM server is not shown where they are.

    TRL tells the server of one run of image tokens for each image. A processor that cuts images into tiles,
    or ends their rows, makes several; two images side by side make one. `several`: whether the data has
    prompts of several images.

    Raises:
        UserError: the processor's prompt has another number of runs than images.
    """
    placeholder = image_token_id(config)
    for sizes in [[(64, 64)], [(300, 100)], [(100, 300)], *([[(64, 64), (64, 64)]] if several else [])]:
        parts = [{"type": "image"} for _ in sizes]
        asked = [{"role": "user", "content": [*parts, {"type": "text", "text": "?"}]}]
        text = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
        images = [Image.new("RGB", size) for size in sizes]
        ids = processor(text=[text], images=[images], add_special_tokens=False)["input_ids"][0]
        runs = len(image_runs([int(token) for token in ids], placeholder))
        if runs != len(sizes):
            shown = " and ".join(f"{width}x{height}" for width, height in sizes)
            raise UserError(
                f"vllm_mode server cannot be used with {config.model_type}: images of {shown} pixels make "
                f"{runs} runs of image tokens in a prompt, and TRL tells the server of one for each image; "
                "use vllm_mode: colocate, or use_vllm: false"
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
