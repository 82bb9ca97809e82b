"""Rollout batches of informative groups: a group that is all right or all wrong makes room for another."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trl.data_utils import prepare_multimodal_messages

from ....objectives import GroupSelection, informative_groups
from ...dynamic_sampling import Filled, Group, PromptStream, fill
from ...invalid_responses import valid_responses
from ...reward_settings import ACCURACY, accuracy_column
from ..data.dataset import LateRows
from .checkpointing import ResumableTrainer

log = logging.getLogger(__name__)


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
        filled = self._fill(self.args.generation_batch_size // self.num_generations)
        if self.args.when_uninformative == "error":
            filled.require_full(Path(self.args.output_dir))
        self._chosen = filled.batch
        for name, value in filled.metrics.items():
            self._metrics["train"][name].append(value)
        return self.rows.at(self.ranks.own([g.number for g in self._chosen for _ in g.rollouts]))

    def _fill(self, wanted: int) -> Filled:
        multiple = self.ranks.groups_multiple(self.num_generations)
        return fill(wanted, self._stream, self._sample, max_rounds=self.args.max_rounds, multiple=multiple)

    def _sample(self, numbers: Sequence[int]) -> list[Group]:
        """One group of rollouts per prompt, sampled by all ranks and known to all."""
        rows = self.rows.at(self.ranks.own([n for n in numbers for _ in range(self.num_generations)]))
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
        everyone = self.ranks.gather_items(mine)
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
            return self._with_valid_responses(super()._generate(prompts))
        mine = self.ranks.own([rollout for group in self._chosen for rollout in group.rollouts])
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

    def _with_valid_responses(self, generated: tuple[Any, ...]) -> tuple[Any, ...]:
        """What was generated, with `valid_responses`; why others are not is kept for the batch."""
        prompts, responses, tool_mask, completions, logprobs, *rest = generated
        if self.tools:  # what they answer may hold images
            self._unusable = [None] * len(responses)
            return generated
        responses, self._unusable = valid_responses(
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
