"""Prompts that sampling has run, from which the scoring pass goes on instead of running them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..generation.prompt_inputs import Prompts
from .hidden_states import SharedPrefix


@dataclass(frozen=True)
class Prefilled:
    """For each row of a batch, where its prompt ran. The model must not have changed since."""

    prefixes: Sequence[SharedPrefix]
    """One per call of the sampler."""
    call: Tensor
    """int64 [B], the number of the call that sampled a row."""
    place: Tensor
    """int64 [B], its prompt among those of that call."""

    @classmethod
    def of(cls, prefixes: Sequence[SharedPrefix], call: Tensor, place: Tensor) -> Prefilled:
        """What the rows at `place` of `call` go on from; the prompts of no row are dropped."""
        kept, new_call, new_place = [], torch.empty_like(call), torch.empty_like(place)
        for number in call.unique().tolist():
            rows = call == number
            places, new_place[rows] = place[rows].unique(return_inverse=True)
            new_call[rows] = len(kept)
            kept.append(prefixes[number].of(places))
        return cls(kept, new_call, new_place)

    def prefix(self, row: int) -> SharedPrefix:
        """What row `row` goes on from."""
        return self.prefixes[int(self.call[row])]

    def prompts(self, rows: Sequence[int]) -> Prompts:
        """The prompts of rows that one call sampled, without what they show."""
        return self.prefix(rows[0]).prompts.without_images(self.place[list(rows)])
