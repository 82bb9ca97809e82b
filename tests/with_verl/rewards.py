"""Rewards of a user's own."""

from typing import Any


def fails(completions: list[Any], **columns: Any) -> list[float]:
    raise ZeroDivisionError("no reward today")


def half(completions: list[Any], answer: list[str], **columns: Any) -> list[float]:
    assert columns["id"] and columns["prompts"] and columns["completion_ids"]
    return [0.5 for _ in completions]
