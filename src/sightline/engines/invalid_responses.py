"""Rollouts that cannot be trained on: named as they are sampled, and kept from every later forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..models.families import longest_sequence, placeholder_ids


def usable_responses(
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    overflown: Sequence[bool],
    config: Any,
    pad: Any,
) -> tuple[list[list[int]], list[str | None]]:
    """Responses that any forward takes, and for each row why it must not be trained on (None if it may).

    A response with a multimodal placeholder ends in front of it, since the model would look for an image
    there. One that makes its row longer than the model's positions, or whose logits overflowed, is one
    padding token.
    """
    banned, longest = set(placeholder_ids(config)), longest_sequence(config)
    kept, reasons = [], []
    for prompt, response, ill in zip(prompts, responses, overflown, strict=True):
        tokens, reason = len(prompt) + len(response), None
        if ill:
            response, reason = [pad], "its logits are not finite; the forward pass overflowed"
        elif longest is not None and tokens > longest:
            response, reason = [pad], f"its {tokens} tokens are more than the model's {longest} positions"
        elif not banned.isdisjoint(response):
            place = next(number for number, token in enumerate(response) if token in banned)
            reason = f"its response holds the multimodal placeholder {response[place]}"
            response = response[:place] or [pad]
        kept.append(list(response))
        reasons.append(reason)
    return kept, reasons
