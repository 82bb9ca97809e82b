"""The classes of tokens that only a drawn world can tell: read off the image, derived, template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import UserError, unknown_name
from ...methods import Method
from ...rollouts import Rollouts
from ...tasks import Role, token_roles
from ...tasks.problem import Task
from ...tasks.shapes import WorldTask

READ, DERIVED, TEMPLATE = "read only", "derived only", "template only"
PARTS = (READ, DERIVED, TEMPLATE)
"""GRPO's gradient by token class; the first is the oracle, which credits what was read off the image."""
CREDITS = {Role.READ.value: READ, Role.DERIVED.value: DERIVED, Role.TEMPLATE.value: TEMPLATE}
"""What `credit` of an arm may be, and the class of each role."""
_NUMBERS = ("7", "10", "180")


def token_classes(kinds: Sequence[str], words: Sequence[Sequence[str]], width: int) -> dict[str, Tensor]:
    """`PARTS` -> bool [B, width]: where the words of responses to problems of these kinds belong."""
    found = {name: torch.zeros(len(kinds), width, dtype=torch.bool) for name in PARTS}
    for row, (kind, said) in enumerate(zip(kinds, words, strict=True)):
        for place, role in enumerate(token_roles(kind, said)):
            found[CREDITS[role.value]][row, place] = True
    return found


def token_bins(values: Tensor, mask: Tensor, count: int) -> list[Tensor]:
    """`count` bins of a batch's tokens by their values [B, T], lowest first: bool [B, T] each.

    The edges are the quantiles 1/count, 2/count, ... of the tokens in `mask`, each of which is in one bin.
    Equal values share a bin, so some bins may be empty.
    """
    kept = mask.bool()
    known = values[kept].double()
    edges = torch.quantile(known, torch.arange(1, count, dtype=torch.double) / count)
    number = torch.bucketize(values.double(), edges, right=True)
    return [kept & (number == place) for place in range(count)]


def check_credit(part: str, method: Method, task: Task) -> None:
    """Refuse credit by labels where it does not reach.

    Raises:
        UserError: an unknown class, a task without labels, or a method with loss terms.
    """
    if part not in CREDITS:
        raise unknown_name("credit", part, CREDITS)
    if not isinstance(task, WorldTask):
        raise UserError("credit goes by labels, which only the embedded worlds have; expected task shapes or "
                        f"shapes-2, got {task.name}")  # fmt: skip
    if method.terms:
        raise UserError(f"{method.name} has loss terms, which credit by labels does not reach; expected a "
                        "method without terms, such as dapo")  # fmt: skip


class LabelCredit:
    """Weights [B, T] by the world's labels: 1 on the tokens of one class, 0 on the others.

    What a trainer takes as `credit`. It needs labels that no real task has, so it is for studies alone.

    Raises:
        UserError: a number of the world is more than one token, so that words cannot be told.
    """

    def __init__(self, part: str, tokenizer: Any):
        if any(len(tokenizer.encode(number, add_special_tokens=False)) != 1 for number in _NUMBERS):
            raise UserError("credit by labels wants a tokenizer of whole words, as the embedded models have; "
                            "this one cuts numbers in pieces")  # fmt: skip
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
        labels = classes[self.part].to(kept.device)
        place = (kept.cumsum(1) - 1).clamp(min=0)  # a tool's words lie between those of a response
        return (labels.gather(1, place) & kept).float()
