"""Ragged sequences that lie one after the other, taken out as padded rectangles and put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ragged:
    """Sequences side by side in a packed row: the first begins at `start`, each follows the one before it."""

    start: int
    lengths: tuple[int, ...]
    device: torch.device

    @classmethod
    def of(cls, start: int, lengths: Sequence[int], device: torch.device) -> Ragged:
        """The same from any sequence of lengths."""
        return cls(start, tuple(lengths), device)

    @property
    def width(self) -> int:
        """Tokens of the longest one."""
        return max(self.lengths, default=0)

    @property
    def stop(self) -> int:
        """The place after the last token."""
        return self.start + sum(self.lengths)

    @property
    def even(self) -> bool:
        """Whether all have one length, so that nothing is padded."""
        return len(set(self.lengths)) < 2

    @cached_property
    def valid(self) -> Tensor:
        """bool [n, width], False on padding, which lies on the right."""
        lengths = torch.tensor(self.lengths, device=self.device)
        return torch.arange(self.width, device=self.device) < lengths[:, None]

    @cached_property
    def _places(self) -> Tensor:
        """int64 [n · width], the place of each token in the row; padding repeats a place of its own."""
        lengths = torch.tensor(self.lengths, device=self.device)
        first = self.start + lengths.cumsum(0) - lengths
        inside = torch.minimum(
            torch.arange(self.width, device=self.device), (lengths[:, None] - 1).clamp(min=0)
        )
        return (first[:, None] + inside).clamp(max=self.stop - 1).flatten()

    @cached_property
    def _kept(self) -> Tensor:
        """int64, the tokens of the rectangle that are no padding, in the row's order."""
        return self.valid.flatten().nonzero().squeeze(1)

    def rectangle(self, row: Tensor) -> Tensor:
        """[L, ...] -> [n, width, ...]; padding holds arbitrary tokens of the same row."""
        shape = (len(self.lengths), self.width)
        if self.even:
            return row[self.start : self.stop].unflatten(0, shape)
        return row.index_select(0, self._places).unflatten(0, shape)

    def ragged(self, rectangle: Tensor) -> Tensor:
        """[n, width, ...] -> the tokens that are no padding, one after the other."""
        flat = rectangle.flatten(0, 1)
        return flat if self.even else flat.index_select(0, self._kept)
