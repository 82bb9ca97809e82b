"""verl's synchronous trainer with a method's weights on the advantages. Nothing of verl is copied.

A step of verl, in the order in which it calls what is overridden here:
    _fetch_one_gen_batch     prompts, named by their place in the run
    GroupBuffer.sample       finished groups; uninformative ones make room
    _balance_batch           rows to ranks, a prompt's rollouts together
    _compute_old_log_prob    old log-probs, entropy and scores in one pass of the workers
    _compute_advantage       A·w over the whole batch
    _update_actor            mini-batches; extra terms are added by the workers
    _save_checkpoint, on_step_end, _compute_metrics
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import ray  # pyright: ignore[reportMissingImports]
import torch
import transfer_queue as tq  # pyright: ignore[reportMissingImports]
from omegaconf import OmegaConf, open_dict  # pyright: ignore[reportMissingImports]
from tensordict import TensorDict  # pyright: ignore[reportMissingImports]
from torch import Tensor
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size  # pyright: ignore[reportMissingImports]
from verl.trainer.ppo.v1 import PPOTrainerSync, register_trainer  # pyright: ignore[reportMissingImports]
from verl.workers.utils.padding import response_to_nested  # pyright: ignore[reportMissingImports]

from ....methods import load_plugins
from ....methods import method as make_method
from ....objectives import group_advantages, overlong_penalty
from ....rollouts import Rollouts
from ...checkpoints import StoppedError
from ...credit import count_without_image, loss_terms, token_advantages
from ...invalid_responses import left_out
from ...metric_names import DRIFT, DRIFT_ONE_WAY, IMAGE_EFFECT, PLACEHOLDER_MASS, ROWS_LEFT_OUT
from ..reward_names import UNJUDGED
from ..run_signals import RunSignals
from .batch_order import in_groups
from .group_buffer import Draws, GroupBuffer
from .metrics import CLIPPED, logged_by_rewards, reward_metrics
from .request import KEY, Request
from .rows import IMAGE_CHANGE, MASS, SCORE, SCORED, plain
from .run_record import RunRecord

log = logging.getLogger(__name__)

MODE = "sightline"
"""The name under which verl finds this trainer (trainer.v1.trainer_mode)."""


@register_trainer(MODE)
class SightlineTrainer(PPOTrainerSync):
    """GRPO of verl whose advantages carry a method's token weights, from statistics over the whole batch."""

    def __init__(self, config: Any):
        with open_dict(config):
            self.asked: dict[str, Any] = OmegaConf.to_container(config[KEY], resolve=True)  # pyright: ignore
            config.trainer.v1.trainer_mode = "sync"  # compared as a word elsewhere in verl
        load_plugins(self.asked["plugins"])
        self.method = make_method(self.asked["method"], **self.asked["options"])
        self.signals = RunSignals(self.asked["folder"])
        self.record = RunRecord(self, self.asked)
        self._drawn = 0
        self.measured: dict[str, float] = {}
        """What is measured of the batch in hand beside verl's metrics."""
        super().__init__(config)

    # --- prompts and groups ---------------------------------------------------------------------------

    def _build_replay_buffer(self) -> GroupBuffer:
        sampler = self.config.trainer.v1.sampler
        selection = self.method.objective.informative_groups if self.asked["max_rounds"] > 1 else None
        return GroupBuffer(
            selection=selection,
            metric="reward" if selection and selection.key == "overall" else self.asked["accuracy"],
            max_rounds=self.asked["max_rounds"],
            check=self._check_rollouts,
            too_few=self._too_few_informative,
            trainer_mode=self.trainer_mode,
            trainer_config=self.config.trainer.v1.get(self.trainer_mode, {}),
            max_off_policy_threshold=sampler.max_off_policy_threshold,
            max_off_policy_strategy=sampler.max_off_policy_strategy,
            sampler_kwargs=sampler.sampler_kwargs,
            refill_fn=self._add_prompts_to_generate,
            train_batch_size=self.config.data.train_batch_size,
            gen_batch_size=1,  # as verl's loader gives them where groups are filtered; unused elsewhere
        )

    def _too_few_informative(self, draws: Draws, wanted: int) -> None:
        """For `when_uninformative: error`.

        Raises:
            StoppedError: uninformative groups would be trained on.
        """
        if self.asked["when_uninformative"] != "error":
            return
        error = StoppedError(
            f"{draws.asked} prompts gave {wanted - draws.kept} informative groups, a batch takes {wanted}",
            self.record.folder.path,
            "raise max_rounds or set when_uninformative: keep, then continue with --resume",
        )
        self.signals.fail(error)
        raise error

    def _check_rollouts(self) -> None:
        """Raise what went wrong in a rollout or a reward, or that a process that does them is gone."""
        self.signals.raise_failure()
        for worker in [*self.agent_loop_manager.agent_loop_workers, *(self.get_reward_handles() or ())]:
            try:
                ray.get(worker.__ray_ready__.remote(), timeout=5)
            except ray.exceptions.GetTimeoutError:
                continue  # busy

    def _fetch_one_gen_batch(self) -> TensorDict:
        """verl's batch, whose prompts are named by step and place instead of at random: names order rows."""
        batch = super()._fetch_one_gen_batch()
        numbers = range(self._drawn, self._drawn + len(batch))
        self._drawn += len(batch)
        self.replay_buffer.draws.asked += len(batch)
        names = [f"{self.global_steps:07d}-{number:05d}" for number in numbers]
        batch["uid"] = TensorDict.from_dict({"uid": names}, batch_size=[len(batch)])["uid"]
        return batch

    def on_train_begin(self) -> None:
        """After a checkpoint was loaded, before the first step."""
        self.record.begin()

    def on_step_begin(self) -> None:
        """Count prompts from 0 in every step, so that their names are the same in a resumed run."""
        self._drawn = 0
        self.record.step_begins()

    def _balance_batch(self, batch: Any, metrics: Any, *args: Any, **kwargs: Any) -> Any:
        """Rows to ranks as `in_groups` orders them; verl would part a prompt's rollouts by length."""
        role, group = "actor", self.actor_rollout_wg
        if role not in group._dispatch_info:
            group._dispatch_info[role] = group._query_dispatch_info(role)
        ranks = max(group._dispatch_info[role]) + 1
        multiple = self._get_required_batch_multiple(ranks)
        batch = upsample_batch_to_divisible_size(batch, multiple, self.tokenizer.eos_token_id)
        rows = sorted(range(len(batch.keys)), key=lambda row: batch.keys[row])
        uids = [batch.keys[row].split("_")[0] for row in rows]
        lengths = [batch.tags[row]["seq_len"] for row in rows]
        batch.reorder([rows[place] for place in in_groups(uids, lengths, ranks)])
        return batch

    # --- scores -> weights -> advantages ----------------------------------------------------------------

    def _request(self, wants: Any) -> dict[str, Any]:
        actor, every = self.config.actor_rollout_ref.actor, self.asked["blind_every"]
        return Request(
            wants=wants,
            method=self.method.name,
            options=dict(self.method.options),
            seed=self.asked["seed"],
            step=(self.global_steps - 1) * self.asked["updates"],
            rows_per_pass=self.config.actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu,
            plugins=self.asked["plugins"],
            aggregation=actor.loss_agg_mode,
            loss_scale=actor.loss_scale_factor,
            look=wants == "scores" and bool(every) and (self.global_steps - 1) % every == 0,
        ).plain()

    def _compute_old_log_prob(self, batch: Any, metrics: Any) -> Any:
        batch.extra_info[KEY] = self._request("scores")
        try:
            return super()._compute_old_log_prob(batch, metrics)
        finally:
            batch.extra_info.pop(KEY, None)

    def _compute_advantage(self, batch: Any, metrics: Any) -> Any:
        """verl's own (returns, corrections), then A·w in place of its advantages."""
        batch = super()._compute_advantage(batch, metrics)
        names = sorted(self.method.needs.signals)
        data = self._columns(batch, names)
        real = torch.tensor([not tag.get("is_padding", False) for tag in batch.tags])
        sampled = data["response_mask"].to_padded_tensor(0)
        rollouts = self._stand_in(data, sampled * real[:, None])
        scores = {name: data[SCORE + name].to_padded_tensor(0) for name in names}
        invalid, unjudged = self._invalid(data, real)
        unscored = real & (data[SCORED].to_padded_tensor(0).amax(1) == 0)
        rows = left_out(
            rollouts, invalid, dict.fromkeys(_numbers(unscored), "it could not be scored"), scores
        )
        self._tell(rows.reasons)
        mask = rows.mask(rollouts.mask)
        rollouts = replace(rollouts, mask=mask)
        advantages = self._group_advantages(data, sampled, real & ~unjudged)
        advantages = advantages.masked_fill(rows.not_finite, float("nan"))  # so that its step is skipped
        self._measure(data, mask, real)
        if names:
            token, found = token_advantages(self.method, advantages, rollouts, scores)
        else:
            token, found = advantages[:, None] * mask, count_without_image(rollouts)
        self.measured |= found
        columns = {"advantages": response_to_nested((token * mask).float(), data["response_mask"])}
        if rows.removed.any() and mask.any():  # the others train as if these had never been sampled
            kept = response_to_nested(sampled * ~rows.removed[:, None], data["response_mask"])
            columns |= {"response_mask": kept, "loss_mask": kept}
        fields = TensorDict(columns, batch_size=len(batch))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)

    def _columns(self, batch: Any, names: list[str]) -> Any:
        """What is read of the batch here; no token ids and no images are."""
        fields = [
            "uid",
            "response_mask",
            "rm_scores",
            "extra_info",
            "extra_fields",
            SCORED,
            MASS,
            IMAGE_CHANGE,
        ]
        fields += ["old_log_probs", "rollout_log_probs", *(SCORE + name for name in names)]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
        if SCORED not in data.keys():  # noqa: SIM118 (a TensorDict)
            raise RuntimeError("the workers run verl's own engine; set VERL_ENGINE_VENDOR=sightline there")
        return data

    def _invalid(self, data: Any, real: Tensor) -> tuple[dict[int, str], Tensor]:
        """Rows that must not be trained on, each with the reason, and which of them no reward judged."""
        rewards = [one.get("reward_extra_info", {}) for one in plain(data["extra_fields"])]
        unjudged = real & torch.tensor([bool(one.get(UNJUDGED)) for one in rewards])
        invalid = dict.fromkeys(_numbers(unjudged), "no reward judged its response")
        for row, info in enumerate(plain(data["extra_info"])):
            if real[row] and info.get("unusable") is not None:
                invalid[row] = str(info["unusable"])
        return invalid, unjudged

    def _tell(self, reasons: list[str]) -> None:
        """Count the rows that are left out, and log why."""
        self.measured = {ROWS_LEFT_OUT: float(len(reasons))}
        self.record.left_out = reasons
        for line in reasons:
            log.warning("left out of step %d: %s", self.global_steps, line)

    def _group_advantages(self, data: Any, mask: Tensor, judged: Tensor) -> Tensor:
        """Group advantages [B] of the rewards, with the objective's punishment of overlong responses; 0 for
        rows that were not judged, which take no part in their group's mean."""
        objective = self.method.objective
        rewards = data["rm_scores"].to_padded_tensor(0).sum(1)
        if objective.overlong is not None:
            longest = self.config.data.max_response_length
            rewards = rewards + overlong_penalty(mask.sum(1), longest, objective.overlong)
        groups = _numbered(plain(data["uid"]))
        found = torch.zeros_like(rewards)
        if judged.any():
            scaled = objective.scale_advantages == "group"
            found[judged] = group_advantages(rewards[judged], groups[judged], scale=scaled)
            self.measured |= reward_metrics(rewards[judged], groups[judged])
        return found

    def _measure(self, data: Any, mask: Tensor, real: Tensor) -> None:
        """How long responses are, how far sampler and trainer are apart, and what the rewards logged."""
        tokens = mask.sum().clamp(min=1)
        lengths = data["response_mask"].to_padded_tensor(0).sum(1)[real]
        self.measured[CLIPPED] = float((lengths >= self.config.data.max_response_length).float().mean())
        self.measured[PLACEHOLDER_MASS] = float((data[MASS].to_padded_tensor(0) * mask).sum() / tokens)
        if "rollout_log_probs" in data.keys():  # noqa: SIM118 (a TensorDict)
            apart = data["rollout_log_probs"].to_padded_tensor(0) - data["old_log_probs"].to_padded_tensor(0)
            self.measured[DRIFT] = float((apart.abs() * mask).sum() / tokens)
            self.measured[DRIFT_ONE_WAY] = float((apart * mask).sum() / tokens)
        if IMAGE_CHANGE in data.keys():  # noqa: SIM118
            change = data[IMAGE_CHANGE].to_padded_tensor(-1)
            looked = (change >= 0) & (mask > 0)
            if looked.any():
                self.measured[IMAGE_EFFECT] = float(change[looked].mean())
        fields = plain(data["extra_fields"])
        self.measured |= logged_by_rewards([one for one, kept in zip(fields, real, strict=True) if kept])

    def _stand_in(self, data: Any, mask: Tensor) -> Rollouts:
        """What `token_advantages` reads of the batch; no token ids and no images come to this process."""
        info = plain(data["extra_info"])
        empty = torch.zeros(len(mask), 0, dtype=torch.long)
        return Rollouts(
            prompt_ids=empty,
            prompt_mask=empty,
            response_ids=torch.zeros_like(mask),
            mask=mask.long(),
            group_ids=_numbered(plain(data["uid"])),
            images=[[None] * int(one["images"]) for one in info],
            sample_ids=[str(one["id"]) for one in info],
        )

    def _update_actor(self, batch: Any, metrics: Any) -> Any:
        if loss_terms(self.method):
            batch.extra_info[KEY] = self._request("terms")
        try:
            return super()._update_actor(batch, metrics)
        finally:
            batch.extra_info.pop(KEY, None)

    # --- the run's folder ----------------------------------------------------------------------------

    def _save_checkpoint(self) -> None:
        super()._save_checkpoint()
        self.record.saved()

    def on_step_end(self) -> None:
        """verl's weight sync; a run that is asked to stop saves first and has this as its last step."""
        if self.signals.stop_wanted() and self.global_steps < self.total_training_steps:
            if not self.record.waiting:
                self._save_checkpoint()
            self.total_training_steps = self.global_steps
            self.record.stopped = True
        super().on_step_end()

    def _compute_metrics(self, batch: Any, metrics: Any, *args: Any, **kwargs: Any) -> None:
        super()._compute_metrics(batch, metrics, *args, **kwargs)
        metrics.update(self.record.step_ends(batch, metrics, self.measured))


def _numbers(rows: Tensor) -> list[int]:
    """Where a bool [B] is True."""
    return rows.nonzero().flatten().tolist()


def _numbered(uids: list[str]) -> Tensor:
    """Equal numbers for equal names."""
    numbers = {uid: number for number, uid in enumerate(dict.fromkeys(uids))}
    return torch.tensor([numbers[uid] for uid in uids])
