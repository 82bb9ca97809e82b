"""What sampling has run of a batch, prompts and responses, so that the scoring pass does not run it again."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..generation.prompt_inputs import Prompts
from .hidden_states import SharedPrefix, States


@dataclass(frozen=True)
class Prefilled:
    """For each row of a batch, where its prompt ran. The model must not have changed since."""

    prefixes: Sequence[SharedPrefix]
    """One per call of the sampler."""
    call: Tensor
    """int64 [B], the number of the call that sampled a row."""
    place: Tensor
    """int64 [B], its prompt among those of that call."""
    response: Tensor | None = None
    """int64 [B], its response among those of that call, −1 where that ran behind another prompt."""

    @classmethod
    def of(
        cls,
        prefixes: Sequence[SharedPrefix | None],
        call: Tensor,
        place: Tensor,
        response: Tensor | None = None,
    ) -> Prefilled:
        """What the rows at `place` of `call` go on from; prompts and responses of no row are dropped."""
        kept, new_call, new_place = [], torch.empty_like(call), torch.empty_like(place)
        new_response = None if response is None else response.clone()
        for number in call.unique().tolist():
            rows = call == number
            places, new_place[rows] = place[rows].unique(return_inverse=True)
            new_call[rows] = len(kept)
            whole = prefixes[number]
            assert whole is not None, f"call {number} of the sampler was let go of"
            part = copy.copy(whole.of(places))
            if part.responses is not None and response is not None and new_response is not None:
                ran = rows & (response >= 0)
                part.responses = part.responses.of(response[ran])
                new_response[ran] = torch.arange(int(ran.sum()), device=response.device)
            kept.append(part)
        return cls(kept, new_call, new_place, new_response)

    def prefix(self, row: int) -> SharedPrefix:
        """What row `row` goes on from."""
        return self.prefixes[int(self.call[row])]

    def states(self, rows: Tensor, ids: Tensor, mask: Tensor) -> States:
        """Of the responses `ids` [R, T] of `rows`, which one call sampled: as they ran, or run again."""
        prefix, owner = self.prefix(int(rows[0])), self.place[rows]
        responses = prefix.responses
        if responses is not None and self.response is not None and bool((self.response[rows] >= 0).all()):
            last = bool(prefix.reading.signals)
            ran = responses.at(self.response[rows], ids, mask, last=last)
            if ran is not None:
                return prefix.recall(owner, ran)
        return prefix.respond(owner, ids, mask)

    def prompts(self, rows: Sequence[int]) -> Prompts:
        """The prompts of rows that one call sampled, without what they show."""
        return self.prefix(rows[0]).prompts.without_images(self.place[list(rows)])
