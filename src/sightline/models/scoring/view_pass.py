"""One view of a batch of rollouts: its images prepared ahead, and the states of responses to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ...rollouts import Rollouts
from ...views import Counterfactual, PixelView, View
from ..draw_views import viewer
from ..families import image_token_id
from ..generation.prompt_inputs import (
    ProcessedImages,
    Prompts,
    image_tokens,
    process,
    shown_prompts,
    without_images,
)
from .cached_prompts import Prefilled
from .counterfactual import replaced_attention
from .hidden_states import SEGMENT, Reading, SharedPrefix, States, whole
from .micro_batches import Bundle, MicroBatch

NOTHING = Reading()
"""What is read of hidden states under a second view."""
Shown = Callable[[Sequence[int]], Sequence[Sequence[Any]]]
"""Rows of a batch -> the images that each of them shows."""


@dataclass(frozen=True)
class ViewPass:
    """What the model is shown in one view, and how its states come about."""

    model: PreTrainedModel
    processor: Any
    rollouts: Rollouts
    shown: Shown
    per_rollout: bool = False
    """Whether each rollout is shown other images than the rest of its group."""
    image_hidden: bool = False
    """Whether image tokens are hidden from attention."""
    replaced: Counterfactual | None = None
    """What changes attention in every layer; its statistics read the answer, so no prompt is shared."""
    shared: bool = True
    """Whether a prompt runs once for all its rollouts."""
    reading: Reading = NOTHING
    prefilled: Prefilled | None = None
    """Where its prompts ran with their images; None to run them."""

    def prepare(self, bundle: Bundle) -> list[ProcessedImages]:
        """A bundle's processed images, of its prompts together or part by part; safe on any thread.

        Empty where the prompts have run already.
        """
        if self.prefilled is not None:
            return []
        if self.per_rollout:
            return [self._process(part.rows.tolist()) for part in bundle.parts]
        if self.shared:
            return [self._process(bundle.prompts)]
        return [self._process(bundle.prompts, part.owner.tolist()) for part in bundle.parts]

    def _process(self, rows: Sequence[int], owners: Sequence[int] | None = None) -> ProcessedImages:
        return process(self.model, self.processor, self.shown(rows), owners)

    def disagreeing(self, bundle: Bundle, images: list[ProcessedImages]) -> dict[int, str]:
        """Rows of a bundle whose prompt has other image tokens than its images take, and how many."""
        if self.prefilled is not None:
            return {}  # their prompts could not have run
        if self.shared and not self.per_rollout:
            counts = images[0].counts
            taken = [
                (row, counts[place])
                for part in bundle.parts
                for row, place in zip(part.rows.tolist(), part.owner.tolist(), strict=True)
            ]
        else:
            taken = [
                pair
                for part, shown in zip(bundle.parts, images, strict=True)
                for pair in zip(part.rows.tolist(), shown.counts, strict=True)
            ]
        rows = [row for row, _ in taken]
        tokens = image_tokens(self.model, self.rollouts.prompt_ids[rows], self.rollouts.prompt_mask[rows])
        return {
            row: f"its prompt holds {held} image tokens, but its images take {count}"
            for (row, count), held in zip(taken, tokens, strict=True)
            if held != count
        }

    def states(self, bundle: Bundle, images: list[ProcessedImages]) -> Callable[[int], States]:
        """Runs the bundle's prompts if they are shared, and gives a function from a part's number to
        the states of its responses."""
        if self.shared and not self.per_rollout:
            return self._going_on(bundle, images)

        def alone(number: int) -> States:
            part = bundle.parts[number]
            prompts = self._prompts(part.rows.tolist(), images[number])
            if self.shared and part.length > SEGMENT:
                each = torch.arange(len(part.rows), device=part.rows.device)
                return SharedPrefix(self.model, prompts, self.reading).respond(each, *self._responses(part))
            with self._attention(prompts, part):
                return whole(self.model, prompts, *self._responses(part), self.reading)

        return alone

    def _attention(self, prompts: Prompts, part: MicroBatch) -> contextlib.AbstractContextManager[None]:
        """The attention that whole sequences of a part run with."""
        if self.replaced is None:
            return contextlib.nullcontext()
        _, mask = self._responses(part)
        image = prompts.input_ids == image_token_id(self.model.config)
        is_image = torch.cat([image, torch.zeros_like(mask, dtype=torch.bool)], 1)
        return replaced_attention(
            self.model, self.replaced, is_image, torch.cat([prompts.attention_mask, mask], 1)
        )

    def _going_on(self, bundle: Bundle, images: list[ProcessedImages]) -> Callable[[int], States]:
        """The states of responses to prompts that run once."""
        parts, ran = bundle.parts, self.prefilled
        if ran is not None and not self.image_hidden:
            return lambda number: ran.states(parts[number].rows, *self._responses(parts[number]))
        if ran is not None:
            prompts = without_images(self.model, ran.prompts(bundle.prompts))
        else:
            prompts = self._prompts(bundle.prompts, images[0])
        own = SharedPrefix(self.model, prompts, self.reading)
        return lambda number: own.respond(parts[number].owner, *self._responses(parts[number]))

    def _prompts(self, rows: Sequence[int], images: ProcessedImages) -> Prompts:
        chosen, names = list(rows), self.rollouts.sample_ids
        prompts = shown_prompts(
            self.model,
            self.rollouts.prompt_ids[chosen],
            self.rollouts.prompt_mask[chosen],
            images,
            [names[row] for row in chosen] if names else [],
        )
        return without_images(self.model, prompts) if self.image_hidden else prompts

    def _responses(self, part: MicroBatch) -> tuple[Tensor, Tensor]:
        ids, mask = self.rollouts.response_ids[part.rows], self.rollouts.mask[part.rows]
        return ids[:, : part.length], mask[:, : part.length]


def second_view(view: View, first: ViewPass, *, seed: int, step: int) -> ViewPass:
    """`first` with its images taken away as `view` says."""
    if isinstance(view, Counterfactual):
        return replace(first, replaced=view, shared=False, reading=NOTHING, prefilled=None)
    if not isinstance(view, PixelView):
        return replace(first, image_hidden=True, reading=NOTHING)
    drawn = viewer(view, first.rollouts, first.processor, seed=seed, step=step)
    return replace(first, shown=drawn, per_rollout=view.per == "rollout", reading=NOTHING, prefilled=None)
