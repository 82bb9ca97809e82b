"""verl's replay buffer with Sightline's dynamic sampling: bounds on a group's mean reward, and on rounds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import transfer_queue as tq  # pyright: ignore[reportMissingImports]
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer  # pyright: ignore[reportMissingImports]

from ....objectives import GroupSelection
from ...metric_names import GROUP_ROUNDS, GROUPS_SAMPLED, INFORMATIVE_SHARE, UNINFORMATIVE_KEPT

POLL_SECONDS = 0.5


@dataclass
class Draws:
    """Groups of the rollout batch in hand."""

    asked: int = 0
    """Prompts taken from the data."""
    evicted: int = 0
    """Uninformative groups that made room for others."""
    kept: int = 0
    """Uninformative groups that stay, since the rounds were over."""


class GroupBuffer(ReplayBuffer):
    """Waits for the groups of a batch; drops those whose mean reward is not between a method's bounds.

    verl refills two prompts for every group it drops, without an end; here nothing more is dropped once
    `max_rounds` batches of prompts were drawn. `check` is called while it waits, and raises if nothing will
    come any more.
    """

    def __init__(
        self,
        *,
        selection: GroupSelection | None,
        metric: str,
        max_rounds: int,
        check: Callable[[], None],
        **kwargs: Any,
    ):
        chosen = metric if selection else None
        super().__init__(poll_interval=POLL_SECONDS, filter_groups_metric=chosen, **kwargs)
        self.selection, self.max_rounds, self.check = selection, max_rounds, check
        self.draws = Draws()
        self._informative: dict[str, bool] = {}

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> Any:
        """A batch of whole groups, and what it took."""
        batch, metrics = super().sample(global_steps, partition_id, batch_size)
        self.check()
        if partition_id == "val" or self.selection is None:
            return batch, metrics
        metrics.update(self._metrics(batch_size))
        self.draws, self._informative = Draws(), {}
        return batch, metrics

    def _metrics(self, wanted: int) -> dict[str, float]:
        sampled = max(self.draws.asked, 1)
        return {
            GROUP_ROUNDS: self.draws.asked / wanted,
            GROUPS_SAMPLED: float(self.draws.asked),
            INFORMATIVE_SHARE: (sampled - self.draws.evicted - self.draws.kept) / sampled,
            UNINFORMATIVE_KEPT: float(self.draws.kept),
        }

    def _dapo_filtered_keys(self, partition_id: str) -> tuple[set[str], Counter[float]]:
        """Finished groups to drop, and how many share a mean reward."""
        if partition_id == "val" or self.selection is None:
            return set(), Counter()
        new = self.finished_keys[partition_id] - self._informative.keys()
        means = self._means(partition_id, new)
        for uid in new:
            low, high = self.selection.low, self.selection.high
            self._informative[uid] = uid not in means or low < means[uid] < high
        dropped = {uid for uid in new if not self._informative[uid]}
        if self.draws.asked >= self.max_rounds * int(self.train_batch_size or 1):
            self.draws.kept += len(dropped)
            return set(), Counter()
        self.draws.evicted += len(dropped)
        return dropped, Counter(round(means[uid], 6) for uid in dropped)

    def _means(self, partition_id: str, uids: set[str]) -> dict[str, float]:
        """The mean reward of each finished group by which it is judged."""
        keys = [key for key in self.partitions[partition_id] if key.split("_")[0] in uids]
        if not keys:
            return {}
        field = "rm_scores" if self.filter_groups_metric == "reward" else "extra_fields"
        data = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=[field])
        values: dict[str, list[float]] = defaultdict(list)
        for key, value in zip(keys, list(data[field]), strict=True):
            values[key.split("_")[0]].append(self._judged(value))
        return {uid: sum(found) / len(found) for uid, found in values.items()}

    def _judged(self, value: Any) -> float:
        if self.filter_groups_metric == "reward":
            return float(value.sum())
        fields: Mapping[str, Any] = getattr(value, "data", value)
        return float(fields["reward_extra_info"][self.filter_groups_metric])

    def _select_prompt_uids(self, partition_id: str, sampleable_keys: set[str], batch_size: int) -> Any:
        """The groups drawn first, which does not depend on which were finished first."""
        chosen = sorted(sampleable_keys)[:batch_size]
        return chosen, dict(self.partitions[partition_id]), dict(self.prompt_global_steps[partition_id])

    def _wait_for_next_poll(self, partition_id: str, last_debug_time: float) -> float:
        self.check()
        return super()._wait_for_next_poll(partition_id, last_debug_time)
