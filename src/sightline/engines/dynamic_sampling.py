"""Dynamic sampling (DAPO): a group that is all right or all wrong makes room for another prompt's group.

An engine samples groups of rollouts for prompt numbers; what is drawn next, what is kept and when to stop is
decided here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from .checkpoints import StoppedError
from .metric_names import GROUP_ROUNDS, GROUPS_SAMPLED, INFORMATIVE_SHARE, UNINFORMATIVE_KEPT

_LEAST_SHARE = 1 / 8
"""A round draws no more than this share would need, however few groups were informative so far."""


class PromptStream:
    """Numbers of prompts, epoch after epoch over the data, each epoch in its own order.

    `position` says how many were drawn; set it, and the stream continues from there.
    """

    def __init__(self, count: int, seed: int, shuffle: bool):
        self.count, self.seed, self.shuffle = count, seed, shuffle
        self.position = 0
        self._epoch, self._order = -1, np.arange(count)

    def take(self, wanted: int, leave_out: Set[int] = frozenset()) -> list[int]:
        """The next `wanted` prompts, without those to leave out and without one twice.

        Fewer if there are no more to find in the data.
        """
        found: list[int] = []
        seen = set(leave_out)
        for _ in range(2 * self.count):
            if len(found) == wanted or len(seen) == self.count:
                break
            number = self._next()
            if number not in seen:
                seen.add(number)
                found.append(number)
        return found

    def _next(self) -> int:
        epoch, place = divmod(self.position, self.count)
        if epoch != self._epoch:
            in_order = np.arange(self.count)
            self._order = (
                np.random.default_rng([self.seed, epoch]).permutation(self.count)
                if self.shuffle
                else in_order
            )
            self._epoch = epoch
        self.position += 1
        return int(self._order[place])


@dataclass(frozen=True)
class Group:
    """The rollouts of one prompt, as every rank knows them."""

    number: int
    """The prompt's row in the dataset."""
    rollouts: Sequence[Any]
    """One item per rollout, whatever the engine keeps of it."""
    rewards: Tensor
    """[G, reward functions]"""
    informative: bool
    """Whether its mean reward lies strictly between the method's bounds."""


@dataclass(frozen=True)
class Filled:
    """What sampling rounds gave for one rollout batch."""

    wanted: int
    """Groups that the batch takes."""
    kept: list[Group]
    """The informative ones."""
    spare: list[Group]
    """The others."""
    rounds: int

    @property
    def batch(self) -> list[Group]:
        """The groups to train on: informative ones first, then others where there are too few."""
        return (self.kept + self.spare)[: self.wanted]

    @property
    def metrics(self) -> dict[str, float]:
        """`groups/...`: rounds, groups sampled, the informative share, and uninformative groups kept."""
        sampled = len(self.kept) + len(self.spare)
        return {
            GROUP_ROUNDS: float(self.rounds),
            GROUPS_SAMPLED: float(sampled),
            INFORMATIVE_SHARE: float(len(self.kept) / max(sampled, 1)),
            UNINFORMATIVE_KEPT: float(max(self.wanted - len(self.kept), 0)),
        }

    def require_full(self, folder: Path) -> None:
        """For `when_uninformative: error`.

        Raises:
            StoppedError: there are fewer informative groups than the batch takes.
        """
        if len(self.kept) < self.wanted:
            raise StoppedError(
                f"{self.rounds} rounds gave {len(self.kept)} informative groups of the {self.wanted} a batch "
                f"takes ({len(self.kept) + len(self.spare)} were sampled)",
                folder,
                "raise max_rounds or set when_uninformative: keep, then continue with --resume",
            )


def fill(
    wanted: int,
    stream: PromptStream,
    sample: Callable[[Sequence[int]], Sequence[Group]],
    *,
    max_rounds: int,
    multiple: int = 1,
    keep: Callable[[Sequence[Group]], None] = lambda groups: None,
) -> Filled:
    """Sample groups until `wanted` are informative, for at most `max_rounds` rounds.

    The first round draws `wanted` prompts; a later one as many as the share of informative groups so far
    makes likely to fill the batch, never more than `wanted` and never a prompt that was tried for this
    batch. Every round has a multiple of `multiple` groups, as ranks may need to share them evenly. After each
    `keep` is told which groups may still be in the batch; no other one ever comes back.
    """
    kept: list[Group] = []
    spare: list[Group] = []
    rounds = 0
    while len(kept) < wanted and rounds < max_rounds:
        share = len(kept) / max(len(kept) + len(spare), 1) if rounds else 1.0
        count = min(math.ceil((wanted - len(kept)) / max(share, _LEAST_SHARE)), wanted)
        tried = {group.number for group in kept + spare}
        numbers = stream.take(math.ceil(count / multiple) * multiple, tried)
        numbers = numbers[: len(numbers) // multiple * multiple]
        if not numbers:
            break  # every prompt there is was tried for this batch
        for group in sample(numbers):
            (kept if group.informative else spare).append(group)
        rounds += 1
        keep(Filled(wanted, kept, spare, rounds).batch)
    return Filled(wanted, kept, spare, rounds)
