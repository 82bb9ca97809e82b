"""verl's replay buffer with Sightline's dynamic sampling: bounds on a group's mean reward, and on rounds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import transfer_queue as tq  # pyright: ignore[reportMissingImports]
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer  # pyright: ignore[reportMissingImports]

from ....objectives import GroupSelection
from ...metric_names import GROUP_ROUNDS, GROUPS_SAMPLED, INFORMATIVE_SHARE, UNINFORMATIVE_KEPT
from ..reward_names import UNJUDGED
from .rows import plain

POLL_SECONDS = 0.5


@dataclass
class Draws:
    """Groups of the rollout batch in hand."""

    asked: int = 0
    """Prompts taken from the data."""
    kept: int = 0
    """Uninformative groups in the batch, since the rounds were over."""
    found: int = 0
    """Finished groups that are uninformative."""


class GroupBuffer(ReplayBuffer):
    """Waits for the groups of a batch; drops those whose mean reward is not between a method's bounds.

    verl refills two prompts for every group it drops, without an end; here nothing more is dropped once
    `max_rounds` batches of prompts were drawn, and groups that teach something go first. `check` is called
    while it waits, and raises if nothing will come any more; `too_few` is told how many informative groups
    there were where that is not enough.
    """

    def __init__(
        self,
        *,
        selection: GroupSelection | None,
        metric: str,
        max_rounds: int,
        check: Callable[[], None],
        too_few: Callable[[Draws, int], None],
        **kwargs: Any,
    ):
        chosen = metric if selection else None
        super().__init__(poll_interval=POLL_SECONDS, filter_groups_metric=chosen, **kwargs)
        self.selection, self.max_rounds, self.check, self.too_few = selection, max_rounds, check, too_few
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
            INFORMATIVE_SHARE: (sampled - self.draws.found) / sampled,
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
        self.draws.found += len(dropped)
        if self.draws.asked >= self.max_rounds * int(self.train_batch_size or 1):
            return set(), Counter()
        return dropped, Counter(round(means[uid], 6) for uid in dropped)

    def _means(self, partition_id: str, uids: set[str]) -> dict[str, float]:
        """The mean reward of each finished group by which it is judged; NaN if none of its rollouts was."""
        keys = [key for key in self.partitions[partition_id] if key.split("_")[0] in uids]
        if not keys:
            return {}
        data = tq.kv_batch_get(
            keys=keys, partition_id=partition_id, select_fields=["rm_scores", "extra_fields"]
        )
        values: dict[str, list[float]] = defaultdict(list)
        for key, score, fields in zip(
            keys, data["rm_scores"].unbind(), plain(data["extra_fields"]), strict=True
        ):
            values[key.split("_")[0]].append(self._judged(float(score.sum()), fields["reward_extra_info"]))
        known = {uid: [value for value in found if not np.isnan(value)] for uid, found in values.items()}
        return {uid: float(np.mean(found)) if found else float("nan") for uid, found in known.items()}

    def _judged(self, total: float, rewards: Mapping[str, float]) -> float:
        """What a rollout's group is judged by; NaN if it could not be judged."""
        if rewards[UNJUDGED]:
            return float("nan")
        return total if self.filter_groups_metric == "reward" else rewards[str(self.filter_groups_metric)]

    def _select_prompt_uids(self, partition_id: str, sampleable_keys: set[str], batch_size: int) -> Any:
        """Informative groups, then those drawn first, which does not depend on which were finished first."""
        dull = {uid for uid in sampleable_keys if not self._informative.get(uid, True)}
        chosen = sorted(sampleable_keys, key=lambda uid: (uid in dull, uid))[:batch_size]
        self.draws.kept = len(dull & set(chosen))
        if self.draws.kept:
            self.too_few(self.draws, batch_size)
        return chosen, dict(self.partitions[partition_id]), dict(self.prompt_global_steps[partition_id])

    def _wait_for_next_poll(self, partition_id: str, last_debug_time: float) -> float:
        self.check()
        return super()._wait_for_next_poll(partition_id, last_debug_time)
