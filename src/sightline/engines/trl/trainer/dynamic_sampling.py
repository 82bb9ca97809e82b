"""Dynamic sampling with TRL's sampler: groups of rollouts for prompts that the loader did not choose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trl.data_utils import prepare_multimodal_messages

from ....objectives import GroupSelection, informative_groups
from ...dynamic_sampling import Filled, Group, PromptStream, fill
from ...reward_settings import ACCURACY, accuracy_column
from .rollout_batch import SampledRollout


class GroupSampler:
    """Samples groups on all ranks until a rollout batch holds informative ones only."""

    def __init__(self, trainer: Any, selection: GroupSelection):
        self.trainer, self.selection = trainer, selection
        args = trainer.args
        self.stream = PromptStream(len(trainer.rows), args.seed, args.shuffle_dataset)

    def fill(self) -> Filled:
        """Groups for one rollout batch.

        Raises:
            StoppedError: `when_uninformative` is `error` and the batch could not be filled.
        """
        trainer, args = self.trainer, self.trainer.args
        wanted = args.generation_batch_size // trainer.num_generations
        multiple = trainer.ranks.groups_multiple(trainer.num_generations)
        trainer.rollout_batch.filling = True
        filled = fill(
            wanted, self.stream, self.sample, max_rounds=args.max_rounds, multiple=multiple, keep=self.keep
        )
        trainer.rollout_batch.filling = False
        if args.when_uninformative == "error":
            filled.require_full(Path(args.output_dir))
        return filled

    def sample(self, numbers: Sequence[int]) -> list[Group]:
        """One group of rollouts per prompt, sampled by all ranks and known to all."""
        trainer, size = self.trainer, self.trainer.num_generations
        rows = trainer.rows.at(trainer.ranks.own([number for number in numbers for _ in range(size)]))
        prompts = [
            prepare_multimodal_messages(row["prompt"], images=row["images"])
            if row["images"]
            else row["prompt"]
            for row in rows
        ]
        prompt_ids, completion_ids, _, completions, log_probs, *_ = trainer._generate(prompts)
        rewards = trainer._calculate_rewards(rows, prompts, completions, completion_ids)
        batch = trainer.rollout_batch
        columns = (prompt_ids, completion_ids, completions, log_probs or [None] * len(rows))
        marks = (batch.invalid, batch.places, batch.extras)
        own = [SampledRollout(*one) for one in zip(*columns, *marks, strict=True)]
        everyone = trainer.ranks.gather_items(own)
        informative = self.informative(rewards)
        return [
            Group(n, everyone[i * size : (i + 1) * size], rewards[i * size : (i + 1) * size], informative[i])
            for i, n in enumerate(numbers)
        ]

    def keep(self, groups: Sequence[Group]) -> None:
        """Let go of what sampling left of candidates on this rank, but for those of `groups`."""
        trainer = self.trainer
        places = [rollout.place for group in groups for rollout in group.rollouts]
        trainer.rollout_batch.keep_states(places, trainer.ranks.index, trainer.accelerator.device)

    def informative(self, rewards: Tensor) -> list[bool]:
        """Of each group in `rewards` [rows, functions], whether its mean lies between the bounds."""
        trainer, size = self.trainer, self.trainer.num_generations
        if self.selection.key == ACCURACY:
            judged = rewards[:, accuracy_column(trainer.reward_func_names)]
        else:
            judged = (rewards * trainer.reward_weights.to(rewards.device)).nansum(1)
        groups = torch.arange(len(judged), device=judged.device) // size
        found = informative_groups(judged, groups, self.selection.low, self.selection.high)
        return found[::size].tolist()

    def state(self) -> int:
        """How many prompts were drawn."""
        return self.stream.position

    def restore(self, state: int) -> None:
        """Continue where `state` was taken."""
        self.stream.position = state
