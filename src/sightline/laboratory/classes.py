"""The classes of tokens that only a drawn world can tell: read off the picture, derived, template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..rollouts import Rollouts
from ..tasks import Role, token_roles

READ, DERIVED, TEMPLATE = "read only", "derived only", "template only"
PARTS = (READ, DERIVED, TEMPLATE)
"""GRPO's gradient by token class; the first is the oracle, which credits what was read off the picture."""
CREDITS = {"read": READ, "derived": DERIVED, "template": TEMPLATE}
"""What `credit` of an arm may be."""


def token_classes(kinds: Sequence[str], words: Sequence[Sequence[str]], width: int) -> dict[str, Tensor]:
    """`PARTS` -> bool [B, width]: where the words of responses to problems of these kinds belong."""
    names = {Role.READ: READ, Role.DERIVED: DERIVED, Role.TEMPLATE: TEMPLATE}
    found = {name: torch.zeros(len(kinds), width, dtype=torch.bool) for name in PARTS}
    for row, (kind, said) in enumerate(zip(kinds, words, strict=True)):
        for place, role in enumerate(token_roles(kind, said)):
            found[names[role]][row, place] = True
    return found


class LabelCredit:
    """Weights [B, T] by the world's labels: 1 on the tokens of one class, 0 on the others.

    What a trainer takes as `credit`. It needs labels that no real task has, so it is for studies alone.
    """

    def __init__(self, part: str, tokenizer: Any):
        self.part = CREDITS[part]
        self.tokenizer = tokenizer

    def __call__(self, rows: Sequence[dict[str, Any]], rollouts: Rollouts) -> Tensor:
        """The weights of these rollouts of the rows."""
        kept = rollouts.mask.bool()
        words = [
            [self.tokenizer.decode([token]) for token in tokens[mask].tolist()]
            for tokens, mask in zip(rollouts.response_ids, kept, strict=True)
        ]
        classes = token_classes([row["kind"] for row in rows], words, kept.shape[1])
        return classes[self.part].to(kept.device).float()
