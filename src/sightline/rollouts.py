"""The batch that every stage reads, and the legend of shapes.

Shape legend, used in every signature and docstring:

    B  rollouts                 G  rollouts of one prompt
    T  response positions       P  prompt positions
    V  vocabulary               D  hidden size
    N  image tokens of a row
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Rollouts:
    """One batch of rollouts: what was asked, what was shown, what was answered.

    Rows may stand in any order; a prompt's rollouts are the rows that share a `group_ids` value,
    never "the next G rows".
    """

    prompt_ids: Tensor
    """int64 [B, P], left-padded, image placeholders expanded."""
    prompt_mask: Tensor
    """int64 [B, P], 1 on prompt tokens."""
    response_ids: Tensor
    """int64 [B, T], right-padded."""
    mask: Tensor
    """int64 [B, T], 1 on generated tokens (end-of-sequence included), 0 on padding."""
    group_ids: Tensor
    """int64 [B]: rows with equal values are rollouts of one prompt."""
    images: Sequence[Sequence[Any]]
    """B lists of PIL images, in the order of their placeholders; an empty list for a text-only row."""
    sample_ids: Sequence[str] = field(default_factory=tuple)
    """B names of the problems, from which a view's random generator is seeded; empty if unused."""
    rollout_ids: Tensor | None = None
    """int64 [B], the number of a row among its prompt's rollouts; None: counted in the order of rows."""

    @property
    def has_image(self) -> list[bool]:
        """Whether each row was shown at least one image."""
        return [len(images) > 0 for images in self.images]

    @property
    def rollout_numbers(self) -> list[int]:
        """`rollout_ids` as a list, counted in the order of rows where it is not given."""
        if self.rollout_ids is not None:
            return self.rollout_ids.tolist()
        seen: dict[int, int] = {}
        numbers = []
        for group in self.group_ids.tolist():
            numbers.append(seen.get(group, 0))
            seen[group] = numbers[-1] + 1
        return numbers

    def __len__(self) -> int:
        return int(self.mask.shape[0])
