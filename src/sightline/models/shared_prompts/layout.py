"""Where prompts and responses lie in a packed row, and which of their tokens see which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .rectangles import Ragged

QUERIES = (64, 256)
"""The fewest and the most tokens of a response that attend at once, in between a quarter of the longest.

None is compared with keys behind the last of them, nor run where no response is that long."""


@dataclass
class Bundle:
    """Prompts whose attention runs at once, each without its last token, and the responses to them.

    A response begins with its prompt's last token and ends before its own last one, so that each of its
    places predicts one of its tokens. Distances are those of the whole sequence [prompt | response].
    """

    prompts: Ragged
    responses: Ragged
    """The longest first."""
    owner: Tensor
    """int64 [R], the prompt of each response among those of the bundle."""
    column: Tensor
    """int64 [n, P], where a token stands in its whole sequence, padding and hidden tokens counted."""
    begin: int
    """Where a response begins in its whole sequence."""
    blocks: Tensor | None = None
    """int64 [n, P], the number of an image whose tokens see each other, -1 elsewhere; None without any."""
    _masks: dict[tuple[int | None, int], Tensor] = field(default_factory=dict)

    def prompt_mask(self, window: int | None) -> Tensor | None:
        """bool [n, 1, P, P], which tokens of a prompt see which; None where each sees those up to itself.

        A window counts tokens; those of one image see each other whatever their order and distance.
        Padding lies behind, where no token looks.
        """
        if (window is None or window > self.begin) and self.blocks is None:
            return None
        key = (window, -1)
        if key not in self._masks:
            query, key_column = self.column[:, :, None], self.column[:, None]
            place = torch.arange(self.prompts.width, device=self.column.device)
            seen = (place <= place[:, None]).expand(len(self.column), -1, -1)
            if window is not None:
                seen = seen & (query - key_column < window)
            if self.blocks is not None:
                block = self.blocks[:, :, None]
                seen = seen | ((block == self.blocks[:, None]) & (block >= 0))
            self._masks[key] = seen[:, None]
        return self._masks[key]

    def response_blocks(self) -> Iterator[tuple[int, int, int]]:
        """Queries that attend at once: how many responses are that long, from which token to which."""
        lengths, width = self.responses.lengths, self.responses.width
        size = min(max(width // 4, QUERIES[0]), QUERIES[1])
        for start in range(0, width, size):
            rows = sum(length > start for length in lengths)
            yield rows, start, min(start + size, width)

    def response_mask(self, window: int | None, rows: int, start: int, end: int) -> Tensor:
        """bool [rows or 1, 1, end − start, P + end], which keys of [prompt | own] the tokens of a block see.

        One row stands for all where they do not differ.
        """
        key = (window, start)
        if key not in self._masks:
            self._masks[key] = self._response_mask(window, rows, start, end)
        return self._masks[key]

    def _response_mask(self, window: int | None, rows: int, start: int, end: int) -> Tensor:
        device, prompts = self.column.device, self.prompts
        column, valid = self.column, prompts.valid
        alike = prompts.even and (window is None or len(column) == 1 or bool((column == column[:1]).all()))
        chosen = self.owner[:1] if alike else self.owner[:rows]
        column, valid = column[chosen], valid[chosen]
        own = torch.arange(end, device=device).expand(len(column), -1)
        place = torch.cat([column, self.begin + own], 1)[:, None]
        valid = torch.cat([valid, torch.ones_like(own, dtype=torch.bool)], 1)[:, None]
        query = self.begin + torch.arange(start, end, device=device)[:, None]
        seen = valid & (place <= query)
        if window is not None:
            seen = seen & (query - place < window)
        return seen[:, None]


@dataclass
class Layout:
    """A packed row, one bundle after the other: in each the prompts, then the responses."""

    bundles: Sequence[Bundle]
    predicting: Tensor
    """int64 [N], the places of responses, which predict their tokens."""
    size: int
    ran: set[int] = field(default_factory=set)
    """Numbers of the layers whose attention has seen this layout."""
