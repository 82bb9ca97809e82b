"""How many tokens a prompt has, its images included, without a model."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from PIL import Image


def token_counter(
    processor: Any, **template: Any
) -> Callable[[list[dict[str, Any]], list[tuple[int, int]]], int]:
    """A function that tells how many tokens a prompt has, images included.

    An image's tokens follow from its size, so each size is put through the processor once. `template` are
    further arguments of the chat template.
    """

    def written(messages: list[dict[str, Any]]) -> int:
        text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **template)
        return len(processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    probe = [{"role": "user", "content": [{"type": "image"}]}]

    @lru_cache(maxsize=4096)
    def added(size: tuple[int, int]) -> int:
        text = processor.apply_chat_template(probe, add_generation_prompt=True, tokenize=False, **template)
        shown = processor(text=[text], images=[[Image.new("RGB", size)]], add_special_tokens=False)
        return len(shown["input_ids"][0]) - written(probe)

    def count(messages: list[dict[str, Any]], sizes: list[tuple[int, int]]) -> int:
        return written(messages) + sum(added(size) for size in sizes)

    return count
