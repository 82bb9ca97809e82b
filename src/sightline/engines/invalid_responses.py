"""Rollouts that cannot be trained on: found as they are sampled or scored, and left out of the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..models.families import longest_sequence, placeholder_ids
from ..rollouts import Rollouts


def valid_responses(
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
    for prompt, response, overflow in zip(prompts, responses, overflown, strict=True):
        tokens, reason = len(prompt) + len(response), None
        if overflow:
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


@dataclass(frozen=True)
class LeftOut:
    """Rows that must not change the weights, in the two ways in which they are kept from it."""

    removed: Tensor
    """bool [b]: no token of the row is trained on; the others train as if it had never been sampled."""
    not_finite: Tensor
    """bool [b]: a score is NaN or infinite; the row's advantage becomes NaN, so its step is skipped."""
    reasons: list[str]
    """One line per row, "sample id: why"."""

    def mask(self, mask: Tensor) -> Tensor:
        """The mask [b, T] of the tokens that count in the statistics of the batch."""
        return mask * ~(self.removed | self.not_finite)[:, None]


def left_out(
    rollouts: Rollouts, invalid: Mapping[int, str], skipped: Mapping[int, str], signals: Mapping[str, Tensor]
) -> LeftOut:
    """Which rows leave the batch: `invalid` and `skipped` ones (row -> why), and those whose scores
    [b, T] in `signals` are not finite."""
    device = rollouts.mask.device
    finite = torch.stack(
        [torch.ones(len(rollouts), device=device, dtype=torch.bool)]
        + [values.isfinite().all(1) for values in signals.values()]
    ).all(0)
    removed = torch.zeros_like(finite)
    reasons = {**skipped, **invalid}
    removed[list(reasons)] = True
    reasons |= dict.fromkeys((~finite).nonzero().flatten().tolist(), "a score is not finite")
    lines = [f"{rollouts.sample_ids[row]}: {why}" for row, why in reasons.items()]
    return LeftOut(removed, ~finite, lines)
