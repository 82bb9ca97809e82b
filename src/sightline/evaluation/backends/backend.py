"""What a backend is asked, and what it hands back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...models.generation.generate import Decoding, Prompt


@dataclass(frozen=True)
class Request:
    """One prompt to be answered once."""

    prompt: Prompt
    seed: int
    """Seeds this sample alone, so that it does not depend on what it is answered with."""


@dataclass(frozen=True)
class Reply:
    """One answer, or why there is none."""

    text: str | None
    """None if it failed."""
    truncated: bool = False
    tokens: int | None = None
    """How many were generated, end-of-sequence included; None if the backend does not say."""
    token_ids: list[int] | None = None
    """The tokens themselves, where the backend knows them."""
    failed: str | None = None
    """Why there is no answer; such a sample counts as failed, not as wrong."""


class Backend(Protocol):
    """Answers requests, in order."""

    name: str
    at_once: int
    """How many requests it wants in one call."""
    exact: bool
    """Whether an answer may depend, in its last digits, on the requests beside it: then a batch that was
    partly stored is asked again as a whole, and equal samples come back."""
    processor: Any
    """The model's processor, for views that are drawn at the model's size; None if there is none."""

    def answers(self, requests: Sequence[Request], decoding: Decoding) -> list[Reply]:
        """One reply per request."""
        ...
