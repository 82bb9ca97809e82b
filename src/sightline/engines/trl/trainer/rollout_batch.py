"""What the trainer knows of the rollout batch that is being made, and of the micro-batch being trained on."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ....models.scoring.cached_prompts import Prefilled
from ....models.scoring.hidden_states import SharedPrefix
from ....models.scoring.score import Scores
from ....rollouts import Rollouts
from ...dynamic_sampling import Group
from ...invalid_responses import valid_responses

Place = tuple[int, int, int, int]
"""Where a row ran: the rank, the call of its sampler, its prompt's place in that call, and its response's,
which is −1 where it ran behind another prompt."""


@dataclass(frozen=True)
class SampledRollout:
    """One row as it was sampled, in the form in which ranks exchange it."""

    prompt_ids: list[int]
    completion_ids: list[int]
    completion: Any
    log_probs: list[float] | None
    """The sampler's own, where it gives them."""
    invalid: str | None
    """Why the row must not be trained on; None if it may."""
    place: Place | None
    extras: dict[str, Any] = field(default_factory=dict)
    """What its rewards said beside their numbers."""


@dataclass
class RolloutBatch:
    """One rollout batch of this rank from its first prompt to A·w; the next one starts with a new object."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """The dataset's rows, one per rollout."""
    filling: bool = False
    """Whether dynamic sampling runs: what is sampled now are candidates, not yet the batch."""
    chosen: list[Group] | None = None
    """The groups that dynamic sampling filled the batch with, of all ranks; None: TRL samples it."""
    overflown: list[bool] = field(default_factory=list)
    """Of each row sampled last, whether its logits were not finite."""
    invalid: list[str | None] = field(default_factory=list)
    """Of each row sampled last, why it must not be trained on."""
    places: list[Place | None] = field(default_factory=list)
    """Of each row sampled last, where its prompt ran; None if that was not kept."""
    sampler_calls: list[SharedPrefix | None] = field(default_factory=list)
    """The prompts that each call of the sampler ran; None of a call that no row of the batch comes from."""
    prefilled: Prefilled | None = None
    """The prompts of this batch's rows, from which the scoring pass continues."""
    rewards: Tensor = field(default_factory=lambda: torch.empty(0))
    """[N, functions] of all ranks' rows."""
    extras: list[dict[str, Any]] = field(default_factory=list)
    """Of each own row rewarded last, what its rewards said beside their numbers."""
    groups_rewarded: int = 1
    """Groups that the rewards being calculated are about."""
    awaits_old_log_probs: bool = False
    """Whether TRL's next question for log-probs is for those of the policy that sampled."""
    scores: Scores | None = None
    """The scoring pass that answered it, if that has all the method needs."""

    def with_valid_responses(self, generated: tuple[Any, ...], config: Any, pad: Any) -> tuple[Any, ...]:
        """What TRL's `_generate` returned, with `valid_responses`; why others are not is kept."""
        prompts, responses, tool_mask, completions, log_probs, *rest = generated
        responses, self.invalid = valid_responses(prompts, responses, self.overflown, config, pad)
        if log_probs is not None:
            log_probs = [values[: len(ids)] for values, ids in zip(log_probs, responses, strict=True)]
        return prompts, responses, tool_mask, completions, log_probs, *rest

    def keep_states(self, places: Sequence[Place | None], rank: int, device: Any) -> None:
        """Let go of the states of responses that no row at `places` has, while candidates are sampled.

        Of a call that none of those rows ran in, prompts go too.
        """
        here = [place for place in places if place is not None and place[0] == rank]
        for call, prefix in enumerate(self.sampler_calls):
            if prefix is None:
                continue
            rows = [response for _, number, _, response in here if number == call]
            if not rows:
                self.sampler_calls[call] = None
            elif prefix.responses is not None:
                ran = [response for response in rows if response >= 0]
                part = copy.copy(prefix)
                part.responses = prefix.responses.only(torch.tensor(ran, dtype=torch.long, device=device))
                self.sampler_calls[call] = part

    def keep_prompts(self, rank: int, device: Any) -> None:
        """Keep the prompts of the batch's rows, and let go of those of candidates that are not in it.

        Only if all of this rank's rows ran on this rank.
        """
        here = [place for place in self.places if place and place[0] == rank]
        if here and len(here) == len(self.places):
            _, call, place, response = torch.tensor(here, device=device).T
            self.prefilled = Prefilled.of(self.sampler_calls, call, place, response)
        self.sampler_calls = []

    def release_prompts(self) -> None:
        """Let go of what the scoring pass needed."""
        self.sampler_calls, self.prefilled = [], None

    def invalid_rows(self, column: str) -> dict[int, str]:
        """Rows that must not be trained on, for their prompt (in the dataset's `column`) or response."""
        reasons = zip(self.rows, self.invalid, strict=True)
        found = {number: row.get(column) or sampled for number, (row, sampled) in enumerate(reasons)}
        return {number: reason for number, reason in found.items() if reason is not None}

    def as_rollouts(self, tensors: Mapping[str, Any], group_size: int, rank: int) -> Rollouts:
        """This rank's rows with TRL's tensors of them.

        TRL's sampler repeats a prompt G times in a row over all ranks, so a row's group is its global
        index // G, also when the group lies on two ranks.
        """
        numbers = torch.arange(len(self.rows), device=tensors["completion_ids"].device)
        numbers = numbers + rank * len(self.rows)
        return Rollouts(
            prompt_ids=tensors["prompt_ids"],
            prompt_mask=tensors["prompt_mask"],
            response_ids=tensors["completion_ids"],
            mask=tensors["completion_mask"] * tensors.get("tool_mask", 1),
            group_ids=numbers // group_size,
            images=[row.get("images") or [] for row in self.rows],
            sample_ids=[str(row.get("id", "")) for row in self.rows],
            rollout_ids=numbers % group_size,
        )


def as_generated(rollouts: Sequence[SampledRollout], prompts: Sequence[Any]) -> tuple[Any, ...]:
    """What TRL's `_generate` returns for `prompts`, from rollouts that were sampled before."""
    images = [_images(prompt) for prompt in prompts]
    return (
        [one.prompt_ids for one in rollouts],
        [one.completion_ids for one in rollouts],
        None,
        [one.completion for one in rollouts],
        None if rollouts[0].log_probs is None else [one.log_probs for one in rollouts],
        {},
        images if any(images) else None,
        [],
    )


def _images(prompt: Any) -> list[Any]:
    parts = [
        part for message in prompt if isinstance(message["content"], list) for part in message["content"]
    ]
    return [part["image"] for part in parts if part["type"] == "image"]


@dataclass
class MicroBatch:
    """The rows of one forward and backward."""

    inputs: dict[str, Any] = field(default_factory=dict)
    """TRL's tensors by name, `advantages` [b, T] among them."""
    other_log_probs: dict[str, Tensor] = field(default_factory=dict)
    """log π [b, T] given each second view by name: differentiated, or the scoring pass's constants."""
    log_probs: Tensor | None = None
    """log π [b, T] of the forward that is differentiated; None before it ran."""
