"""The states of responses as sampling ran them, from which the first view is scored without another run."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SampledStates:
    """What the backbone put out at the tokens of R responses of up to T tokens, while they were sampled."""

    token_ids: Tensor
    """int64 [R, T], the tokens that ran."""
    place: Tensor
    """int64 [R, T], where the state of each lies among `states`; −1 of a token that never ran."""
    states: Tensor
    """[N, D] after the final norm."""

    def of(self, rows: Tensor) -> SampledStates:
        """Those of the responses `rows` [m], without the memory that the others take."""
        place = self.place[rows]
        ran = place >= 0
        fresh = torch.full_like(place, -1).masked_scatter(
            ran, torch.arange(int(ran.sum()), device=place.device)
        )
        return SampledStates(self.token_ids[rows], fresh, self.states[place[ran]])

    def only(self, rows: Tensor) -> SampledStates:
        """Without the states of any but the responses `rows` [m], whose numbers stay what they are."""
        stay = torch.zeros_like(self.place[:, 0], dtype=torch.bool).index_fill(0, rows, True)
        stay = (self.place >= 0) & stay[:, None]
        count = int(stay.sum())
        if count == len(self.states):
            return self
        numbers = torch.arange(count, device=rows.device)
        fresh = torch.full_like(self.place, -1).masked_scatter(stay, numbers)
        return SampledStates(self.token_ids, fresh, self.states[self.place[stay]])

    def at(self, rows: Tensor, ids: Tensor, mask: Tensor, *, last: bool) -> Tensor | None:
        """[m, t, D] at the tokens `ids` [m, t] of `rows`, arbitrary after the last one that `mask` counts.

        That one's is arbitrary too unless `last` asks for it. None if one of the responses did not run so.
        """
        length = ids.shape[1]
        if length > self.place.shape[1]:
            return None
        counts = mask.bool().flip(1).cummax(1).values.flip(1)
        behind = counts if last else torch.nn.functional.pad(counts[:, 1:], (0, 1))
        place = self.place[rows, :length]
        same = (self.token_ids[rows, :length] == ids) | ~counts
        ran = bool((same & ((place >= 0) | ~behind)).all())
        if not ran or not len(self.states):  # none is kept where every response is a single token
            return None
        return self.states[place.clamp(min=0)]


class StatesLog:
    """The states of responses being sampled, a token of every running row at a time."""

    def __init__(self, tokens: Tensor):
        """`tokens` [R, T] is where the sampler writes."""
        self.tokens = tokens
        self.place = torch.full_like(tokens, -1)
        self.found: list[Tensor] = []
        self.size = 0

    def add(self, rows: Tensor, column: int, states: Tensor) -> None:
        """States [r, D] at the tokens of `rows` in one column."""
        self.place[rows, column] = torch.arange(self.size, self.size + len(rows), device=rows.device)
        self.size += len(rows)
        self.found.append(states)

    def of_length(self, length: int, first: Tensor) -> SampledStates:
        """What was kept of responses of up to `length` tokens; `first` [.., D] has the states' kind."""
        states = torch.cat(self.found) if self.found else first.new_zeros(0, first.shape[-1])
        return SampledStates(self.tokens[:, :length], self.place[:, :length], states)
