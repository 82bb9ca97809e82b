"""Rollout batches of informative groups: a group that is all right or all wrong makes room for another."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor
from trl.data_utils import prepare_multimodal_messages

from ....objectives import GroupSelection, informative_groups
from ...invalid_responses import usable_responses
from ...prompt_stream import PromptStream
from ...stopped import StoppedError
from ..data.dataset import LateRows
from ..settings.rewards import ACCURACY, accuracy_column
from .checkpointing import ResumableTrainer

log = logging.getLogger(__name__)

_LEAST_SHARE = 1 / 8
"""A round draws no more than this share would need, however few groups were informative so far."""


@dataclass(frozen=True)
class Group:
    """The rollouts of one prompt, as every rank knows them."""

    number: int
    """The prompt's row in the dataset."""
    rollouts: list[dict[str, Any]]
    """`prompt_ids`, `completion_ids`, `completion`, `logprobs`, `unusable` and `prefilled` of each."""
    rewards: Tensor
    """[G, functions]"""
    informative: bool


class InformativeTrainer(ResumableTrainer):
    """Draws new prompts until a rollout batch holds informative groups only, or `max_rounds` are over."""

    def __init__(self, *, selection: GroupSelection | None, train_dataset: Any, **kwargs: Any):
        self.rows = LateRows(train_dataset)
        super().__init__(train_dataset=self.rows.numbers, **kwargs)
        args = self.args
        self.selection = selection if args.max_rounds > 1 else None
        self._stream = PromptStream(len(self.rows), args.seed, args.shuffle_dataset)
        self._chosen: list[Group] | None = None
        self._overflown: list[bool] = []
        self._unusable: list[str | None] = []
        self._prefilled: list[tuple[int, int, int] | None] = []
        """Of each row: the rank, the call of its sampler and the place in it where its prompt ran."""
        self._weight = 1

    def _informative_rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """This rank's rows of the rollout batch, in place of those the loader chose.

        Raises:
            StoppedError: `when_uninformative` is `error` and the batch could not be filled.
        """
        rows = self.rows.read(rows)
        if self.selection is None or not self.model.training:
            return rows
        wanted = self.args.generation_batch_size // self.num_generations
        kept, spare, rounds = self._fill(wanted)
        sampled = len(kept) + len(spare)
        share = len(kept) / max(sampled, 1)
        if len(kept) < wanted and self.args.when_uninformative == "error":
            raise StoppedError(
                f"{rounds} rounds gave {len(kept)} informative groups of the {wanted} a batch takes "
                f"({sampled} were sampled)",
                Path(self.args.output_dir),
                "raise max_rounds or set when_uninformative: keep, then continue with --resume",
            )
        self._chosen = (kept + spare)[:wanted]
        for name, value in (
            ("rounds", rounds),
            ("sampled", sampled),
            ("informative_share", share),
            ("uninformative_kept", max(wanted - len(kept), 0)),
        ):
            self._metrics["train"][f"groups/{name}"].append(float(value))
        return self.rows.at(self._mine([group.number for group in self._chosen for _ in group.rollouts]))

    def _fill(self, wanted: int) -> tuple[list[Group], list[Group], int]:
        """Informative groups, at least `wanted` if that can be; the others; and the rounds it took."""
        kept: list[Group] = []
        spare: list[Group] = []
        rounds = 0
        while len(kept) < wanted and rounds < self.args.max_rounds:
            share = len(kept) / max(len(kept) + len(spare), 1) if rounds else 1.0
            count = math.ceil((wanted - len(kept)) / max(share, _LEAST_SHARE))
            tried = {group.number for group in kept + spare}
            numbers = self._stream.take(self._even(min(count, wanted)), tried)
            numbers = numbers[: len(numbers) // self._unit * self._unit]
            if not numbers:
                break  # every prompt there is was tried for this batch
            for group in self._sample(numbers):
                (kept if group.informative else spare).append(group)
            rounds += 1
        return kept, spare, rounds

    @property
    def _unit(self) -> int:
        """Groups have to come in multiples of this for every rank to get as many rollouts."""
        ranks = self.accelerator.num_processes
        return ranks // math.gcd(ranks, self.num_generations)

    def _even(self, count: int) -> int:
        return math.ceil(count / self._unit) * self._unit

    def _mine(self, items: Sequence[Any]) -> list[Any]:
        """This rank's slice of something that lists all ranks' rollouts."""
        size = len(items) // self.accelerator.num_processes
        start = self.accelerator.process_index * size
        return list(items[start : start + size])

    def _sample(self, numbers: Sequence[int]) -> list[Group]:
        """One group of rollouts per prompt, sampled by all ranks and known to all."""
        rows = self.rows.at(self._mine([n for n in numbers for _ in range(self.num_generations)]))
        prompts = [
            prepare_multimodal_messages(row["prompt"], images=row["images"])
            if row["images"]
            else row["prompt"]
            for row in rows
        ]
        prompt_ids, completion_ids, _, completions, logprobs, *_ = self._generate(prompts)
        rewards = self._calculate_rewards(rows, prompts, completions, completion_ids)
        names = ("prompt_ids", "completion_ids", "completion", "logprobs", "unusable", "prefilled")
        logprobs = logprobs or [None] * len(rows)
        columns = (prompt_ids, completion_ids, completions, logprobs, self._unusable, self._prefilled)
        mine = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        everyone: Any = gather_object(mine) if self.accelerator.num_processes > 1 else mine
        informative = self._informative(rewards)
        size = self.num_generations
        return [
            Group(n, everyone[i * size : (i + 1) * size], rewards[i * size : (i + 1) * size], informative[i])
            for i, n in enumerate(numbers)
        ]

    def _informative(self, rewards: Tensor) -> list[bool]:
        """Of each group in `rewards` [rows, functions], whether its mean lies between the bounds."""
        selection = self.selection
        assert selection is not None
        if selection.key == ACCURACY:
            judged = rewards[:, accuracy_column(self.reward_func_names)]
        else:
            judged = (rewards * self.reward_weights.to(rewards.device)).nansum(1)
        groups = torch.arange(len(judged), device=judged.device) // self.num_generations
        found = informative_groups(judged, groups, selection.low, selection.high)
        return found[:: self.num_generations].tolist()

    # --- TRL's own path, over what was chosen ---------------------------------------------------------

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        if self._chosen is None:
            self._overflown = [False] * len(prompts)
            self._prefilled = [None] * len(prompts)
            return self._with_usable_responses(super()._generate(prompts))
        mine = self._mine([rollout for group in self._chosen for rollout in group.rollouts])
        columns = {name: [rollout[name] for rollout in mine] for name in mine[0]}
        logprobs = None if columns["logprobs"][0] is None else columns["logprobs"]
        self._unusable, self._prefilled = columns["unusable"], columns["prefilled"]
        images = [_images(prompt) for prompt in prompts]
        return (
            columns["prompt_ids"],
            columns["completion_ids"],
            None,
            columns["completion"],
            logprobs,
            {},
            images if any(images) else None,
            [],
        )

    def _with_usable_responses(self, generated: tuple[Any, ...]) -> tuple[Any, ...]:
        """What was generated, with `usable_responses`; why others are not is kept for the batch."""
        prompts, responses, tool_mask, completions, logprobs, *rest = generated
        if self.tools:  # what they answer may hold images
            self._unusable = [None] * len(responses)
            return generated
        responses, self._unusable = usable_responses(
            prompts, responses, self._overflown, self.model.config, self._tokenizer.pad_token_id
        )
        if logprobs is not None:
            logprobs = [values[: len(ids)] for values, ids in zip(logprobs, responses, strict=True)]
        return prompts, responses, tool_mask, completions, logprobs, *rest

    def _calculate_rewards(self, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        if self._chosen is None:
            self._weight = max(len(inputs) // self.num_generations, 1)
            return super()._calculate_rewards(inputs, *args, **kwargs)
        return torch.cat([group.rewards for group in self._chosen])

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        try:
            return super()._generate_and_score_completions(inputs)
        finally:
            self._chosen = None

    def _log_metric(self, name: str, value: float) -> None:
        """Weigh a reward's metric by the groups it is about: rounds differ in size."""
        for _ in range(self._weight):
            super()._log_metric(name, value)

    # --- checkpoints ---------------------------------------------------------------------------------

    def _progress(self) -> dict[str, Any]:
        return super()._progress() | {"prompts_drawn": self._stream.position}

    def _restore(self, progress: dict[str, Any], folder: Any) -> None:
        super()._restore(progress, folder)
        self._stream.position = progress["prompts_drawn"]


def _images(prompt: Any) -> list[Any]:
    parts = [
        part for message in prompt if isinstance(message["content"], list) for part in message["content"]
    ]
    return [part["image"] for part in parts if part["type"] == "image"]
