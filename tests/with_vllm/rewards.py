"""A reward that a random model's answers differ in, so that every step moves the weights."""

from typing import Any


def early_letters(completions: list[Any], **_: Any) -> list[float]:
    """Share of characters before "p"."""
    texts = [completion[-1]["content"] for completion in completions]
    return [sum(letter < "p" for letter in text) / max(len(text), 1) for text in texts]
