"""TRL's GRPOTrainer with a method's weights on the advantages, by subclass; nothing of TRL is copied.

The overridden methods stand in the order in which TRL calls them:

    __init__
    training_step                               every micro-batch
      _prepare_inputs                           1  a new rollout batch when the last one is used up
        _generate_and_score_completions         2  rows -> rollouts -> scores -> weights -> A·w
          _generate                             3  prompts -> responses
            _tokenize_prompts                   3a
            _generate_single_turn               3b
          _get_per_token_logps_and_entropies    6  of the policy that sampled; without a gradient
          _calculate_rewards                    4  responses -> rewards of all ranks
            _log_metric                         4a
      compute_loss                              5  micro-batch -> loss
        _compute_loss                           5a
          _get_per_token_logps_and_entropies    6  the training forward, with a gradient
    _get_grad_norm                              7  before every optimizer step
    log                                         8
    evaluate                                    9  held-out problems
    _save_checkpoint, ...                      10  saving and resuming

Dynamic sampling, in 2, calls 3 and 4 for candidates, as often as it takes, before TRL does for the batch.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm
from trl.trainer.grpo_trainer import GRPOTrainer

from ....methods import Method, Needs
from ....models.processors import response_opening
from ....models.scoring.cached_prompts import Prefilled
from ....models.scoring.hidden_states import Reading
from ....models.scoring.micro_batches import is_sharded
from ....models.scoring.score import Scores, score
from ....objectives import bounded_reference
from ....rewards.functions import reads_whole_rows, undecided_columns
from ....rollouts import Rollouts
from ...blindness_probe import image_effect
from ...checkpoints import fault
from ...credit import count_without_image, loss_terms, rewards_to_advantages, token_advantages
from ...health_warnings import HealthWarnings
from ...invalid_responses import left_out
from ...metric_names import DRIFT, DRIFT_ONE_WAY, IMAGE_EFFECT, PLACEHOLDER_MASS, ROWS_LEFT_OUT, TERM
from ...ranks import mean_over_tokens
from ...registry import Credit
from ...validation import Validation
from ...vision_tower_sync import sync_vision_tower
from ...wrapped_forward import accept_inside
from ..data.dataset import INVALID, LazyRows, told_rewards
from ..data.micro_batches import PROMPT, SUMS, by_prompt, normalise_per_step, together
from ..ranks import AccelerateRanks
from ..settings.objective import follow_objective
from ..state.reference_model import reference_is_copy
from ..upstream_contract import check_contract
from .checkpointing import Checkpointer, Part, load_weights, replay_epochs
from .dynamic_sampling import GroupSampler
from .generation import pads_unasked, sampled_rollouts, samples_itself, tokenized_apart, tokenized_once
from .held_out import best_checkpoint, describe_best, held_out_metrics
from .image_sharing import with_shared_images
from .loss_terms import aggregate
from .nan_guard import NanGuard
from .noised_rollouts import NoisedSampling, clean_places
from .prompt_sharing import PromptSharing, without_wrapping
from .reward_extras import RewardExtras, even_columns
from .rollout_batch import MicroBatch, RolloutBatch, as_generated
from .second_view import TwoForwards, second_view_inputs, second_view_rows
from .vllm_sampling import prompts_for_vllm, trainers_vllm, with_written_ids

log = logging.getLogger(__name__)

OTHER = "other_log_probs_"
"""Before a second view's name: its log-probs of the responses, beside TRL's own columns of a batch."""


class TokenCreditTrainer(GRPOTrainer):
    """GRPO whose advantages carry a method's token weights, A·w [B, T].

    The weights are computed once per rollout batch, before it is shuffled or split, over the true
    prompt groups of all ranks. The trainer never learns which paper it runs.
    """

    model: Any
    args: Any
    num_generations: Any
    num_iterations: Any
    say: Callable[[str], None] = staticmethod(lambda text: None)
    """Shows the person who runs this one line; set by whoever drives the trainer."""
    card: Callable[[], str] | None = None
    """Writes the model card of a checkpoint; none is written without it."""
    validation: Validation | None = None
    """The held-out problems that `eval_strategy` has measured; without them TRL evaluates its own dataset."""
    model_step: int | None = None
    """The step whose weights the trained model has, if not the last one's."""
    stopping: Callable[[], bool] = staticmethod(lambda: False)
    """Whether a signal asks to save and stop."""

    def __init__(
        self,
        *,
        method: Method,
        model: Any,
        args: Any,
        train_dataset: Any,
        credit: Credit | None = None,
        model_revision: str | None = None,
        resolved: bool = False,
        reshaped: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        check_contract()
        if not resolved:  # by `parse`, which knows what was given and what was left to the method
            args = follow_objective(args, method.objective)
        self.method, self.credit, self.terms = method, credit, loss_terms(method)
        self.ranks = AccelerateRanks(args)
        self.rows = LazyRows(train_dataset)
        if getattr(args.eval_strategy, "value", args.eval_strategy) != "no":
            kwargs.setdefault("eval_dataset", self.rows.numbers)  # asked for by transformers, read by nobody
        with reference_is_copy(args, model), trainers_vllm(model_revision):
            super().__init__(model=model, args=args, train_dataset=self.rows.numbers, **kwargs)
        self.rollout_batch, self.micro_batch = RolloutBatch(), MicroBatch()
        selection = method.objective.informative_groups if args.max_rounds > 1 else None
        self.group_sampler = None if selection is None else GroupSampler(self, selection)
        self.noised = NoisedSampling(self)
        self.extras = RewardExtras(self)
        template: Any = self.chat_template_kwargs or {}
        self.opening = response_opening(self.processing_class, **template)
        self.nan_guard, self.health = NanGuard(self), HealthWarnings(args, reshaped)
        parts: dict[str, Part] = {"skipped_steps": self.nan_guard, "symptoms": self.health}
        if self.group_sampler is not None:
            parts["prompts_drawn"] = self.group_sampler
        self.checkpointer = Checkpointer(self, parts)
        self._sampler: Any = None
        self._pads_unasked = pads_unasked(self.processing_class)
        self._base = without_wrapping(self.model)
        self._plain_forward = accept_inside(self._base)
        self.sharing = PromptSharing.of(self, self._base)
        if self.ranks.count > 1:
            for whole in (self._base, self.ref_model):
                if whole is not None:
                    sync_vision_tower(self.accelerator.unwrap_model(whole), self.processing_class)

    # --- 1. when a rollout batch is made --------------------------------------------------------------

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """TRL's micro-batches of a rollout batch, ordered by prompt and normalised per optimizer step."""
        known = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is not None and self._buffered_inputs is not known:
            self._buffered_inputs = self._by_prompt(self._buffered_inputs)
            inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]
            normalise_per_step(self._buffered_inputs, self.args.gradient_accumulation_steps, self.ranks)
        return inputs

    def _by_prompt(self, batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Micro-batches in which rollouts of one prompt are side by side, as `shuffle_by` asks for."""
        per_step = self.args.gradient_accumulation_steps
        sums = self.args.loss_type in SUMS and not self.aux_loss_enabled
        by_default = "prompt" if self.sharing.on and sums else "rollout"
        if (self.args.shuffle_by or by_default) == "prompt":
            return by_prompt(batches, per_step)
        return together(batches, per_step) if sums else batches

    # --- 2. rows -> rollouts -> scores -> weights -> A·w ----------------------------------------------

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """TRL's tensors of this rank's rows, in prompt order, with `advantages` A·w [b, T]."""
        self.rollout_batch = RolloutBatch(rows=self.rows.read(inputs))
        try:
            return self._make_rollout_batch(self.rollout_batch)
        finally:
            self.rollout_batch.release_prompts()

    def _make_rollout_batch(self, batch: RolloutBatch) -> dict[str, Any]:
        # rows: those that the loader chose, or those of informative groups
        if self.group_sampler is not None and self.model.training:
            filled = self.group_sampler.fill()
            batch.chosen = filled.batch
            batch.rows = self.rows.at(self.ranks.own([g.number for g in batch.chosen for _ in g.rollouts]))
            self._log_values(filled.metrics)

        # rollouts, rewards and group advantages: TRL's own path, through the methods below
        self._log_images(batch.rows)
        batch.awaits_old_log_probs = self._asks_for_old_log_probs()
        out: dict[str, Any] = super()._generate_and_score_completions(batch.rows)
        if not self.model.training:
            return out
        rollouts = batch.as_rollouts(out, self.num_generations, self.ranks.index)
        out[PROMPT] = rollouts.group_ids
        advantages = self._group_advantages(out["advantages"], batch.rewards)
        self._probe_blindness(rollouts)
        self._log_values(self.noised.metrics(batch.rewards, len(batch.rows)))

        # scores
        scores, needs = None, self.method.needs
        if needs.second_view_gradient and needs.view is not None:
            seeds = {"seed": self.args.seed, "step": self.state.global_step}
            out |= second_view_rows(needs.view, rollouts, self.model, self.processing_class, **seeds)
        if self._scores_rollouts:
            scores = batch.scores or self._score(rollouts, needs, batch.prefilled)
        else:
            self._log_values(count_without_image(rollouts, self.ranks))

        # weights: of the rows that count, over all ranks
        rollouts, advantages = self._leave_out(rollouts, advantages, scores, out)
        if scores is not None:
            advantages, measured = token_advantages(
                self.method,
                advantages,
                rollouts,
                scores.signals,
                self.ranks,
                progress=self._progress,
                noisy=self.noised.noisy(rollouts, self._progress),
            )
            self._log_values(measured)
            if self.terms:
                out |= {OTHER + name: values for name, values in scores.log_probs_of.items()}
        if self.credit is not None:
            by_token = advantages if scores is not None else advantages[:, None]
            advantages = by_token * self.credit(batch.rows, rollouts)
        return out | {"advantages": advantages}

    def _log_images(self, rows: list[dict[str, Any]]) -> None:
        """Have TRL collect images, which only a tracker's table shows, where all ranks have some to give.

        It asks for them on the ranks that have any, and would wait for the others.
        """
        wanted = self.args.log_multimodal and self.args.log_completions
        none = not any(row.get("images") for row in rows)
        self.log_multimodal = wanted and not self.ranks.any(none)
        if not self.log_multimodal:
            self._logs["images"].clear()

    def _group_advantages(self, advantages: Tensor, rewards: Tensor) -> Tensor:
        """Group advantages [b] with the papers' epsilon of 1e-6 where TRL's own has 1e-4."""
        args = self.args
        if args.scale_rewards != "group" or args.multi_objective_aggregation != "sum_then_normalize":
            return advantages
        return self.ranks.own(rewards_to_advantages(rewards, self.reward_weights, self.num_generations))

    def _probe_blindness(self, rollouts: Rollouts) -> None:
        every = self.args.blind_every
        if not every or self._step // (self.args.steps_per_generation * self.num_iterations) % every:
            return
        effect = image_effect(rollouts, self._score, self.ranks)
        if effect is not None:
            self._log_values({IMAGE_EFFECT: effect})

    @property
    def _scores_rollouts(self) -> bool:
        """Whether the method needs a scoring pass."""
        needs = self.method.needs
        return bool(needs.signals) or (bool(needs.views) and not needs.second_view_gradient)

    @property
    def _progress(self) -> float:
        """Optimizer step / all steps, in [0, 1]."""
        return min(1.0, self.state.global_step / max(self.state.max_steps, 1))

    def _score(self, rollouts: Rollouts, needs: Needs, prefilled: Prefilled | None = None) -> Scores:
        """One scoring pass under the current weights, inside the model's one wrapped forward."""

        def scoring(model: Any) -> Scores:
            return score(
                model,
                self.processing_class,
                rollouts,
                needs,
                seed=self.args.seed,
                step=self.state.global_step,
                progress=self._progress,
                temperature=self.temperature,
                rows_per_pass=self.args.per_device_train_batch_size,
                prefilled=prefilled,
            )

        with self.accelerator.autocast():
            scores = self.model(inside=scoring)
        if not samples_itself(self):
            self._log_mean(PLACEHOLDER_MASS, scores.placeholder_mass, rollouts.mask)
        return scores

    def _leave_out(
        self, rollouts: Rollouts, advantages: Tensor, scores: Scores | None, out: dict[str, Any]
    ) -> tuple[Rollouts, Tensor]:
        """The rollouts that count, and the advantages [b]; no token of an invalid row stays in `out`.

        A score that is not finite makes its row's advantage NaN, so that the optimizer step is skipped.
        """
        signals, skipped = ({}, {}) if scores is None else (scores.signals, scores.skipped)
        invalid = self.rollout_batch.invalid_rows(INVALID)
        rewarded = ~self.ranks.own(self.rollout_batch.rewards).isnan().all(1)
        for row in (~rewarded).nonzero().flatten().tolist():
            invalid.setdefault(row, "no reward judged its response")
        rows = left_out(rollouts, invalid, skipped, signals)
        removed = rows.removed[:, None]
        out["completion_mask"] = out["completion_mask"].masked_fill(removed, 0)
        out["completion_ids"] = out["completion_ids"].masked_fill(removed, self._tokenizer.pad_token_id)
        self.nan_guard.left_out = rows.reasons
        count = self.ranks.sum(torch.tensor(float(len(rows.reasons)), device=removed.device)).item()
        if count > 0:
            self._log_values({ROWS_LEFT_OUT: count})
        for line in rows.reasons:
            log.warning("left out of step %d: %s", self.state.global_step + 1, line)
        advantages = advantages.masked_fill(rows.not_finite, float("nan"))
        return replace(rollouts, mask=rows.mask(rollouts.mask)), advantages

    # --- 3. prompts -> responses ----------------------------------------------------------------------

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        """What TRL samples, or the groups that dynamic sampling has chosen; responses that any forward takes.

        Raises:
            StoppedError: the policy's probabilities are not finite.
        """
        batch = self.rollout_batch
        if batch.chosen is None:
            batch.overflown, batch.places = [False] * len(prompts), [None] * len(prompts)
            with self.nan_guard.sampling():
                generated = super()._generate(prompts)
            if self.tools:  # what they answer may hold images
                batch.invalid = [None] * len(prompts)
            else:
                pad = self._tokenizer.pad_token_id
                generated = batch.with_valid_responses(generated, self.model.config, pad)
        else:
            rollouts = self.ranks.own([rollout for group in batch.chosen for rollout in group.rollouts])
            batch.invalid, batch.places = ([r.invalid for r in rollouts], [r.place for r in rollouts])
            generated = as_generated(rollouts, prompts)
        if not batch.filling:
            batch.keep_prompts(self.ranks.index, self.accelerator.device)
        *columns, images, tool_images = generated
        if images is not None:  # TRL marks a text-only row among others with None, on which processors fail
            images = [shown or [] for shown in images]
        return (*columns, images, tool_images)

    def _tokenize_prompts(self, prompts: list[Any]) -> Any:
        tokenize = super()._tokenize_prompts
        if self._pads_unasked:
            tokenize = partial(tokenized_apart, tokenize=tokenize)
        if samples_itself(self):
            return tokenized_once(prompts, tokenize)
        ids, images, fields = tokenize(prompts)
        if self.use_vllm and self.vllm_mode == "colocate":
            ids = with_written_ids(self, prompts, ids)
        return ids, images, fields

    def _generate_single_turn(
        self,
        prompt_ids: Any,
        images: Any,
        multimodal_fields: Any,
        num_generations: int,
        *rest: Any,
        **more: Any,
    ) -> Any:
        """Our sampler, which runs a prompt once for its G responses, or TRL's with vLLM, tools, ..."""
        noised = self.noised.rows(len(prompt_ids))
        images = self.noised.images(images, noised)
        if not samples_itself(self):
            if self.use_vllm:
                prompt_ids = prompts_for_vllm(self, prompt_ids, images)
            # A server is sent one prompt for each group, unless every rollout is a prompt of its own.
            each = 1 if self.noised.active else num_generations
            return super()._generate_single_turn(prompt_ids, images, multimodal_fields, each, *rest, **more)
        kept = self.model.training and self._scores_rollouts and not is_sharded(self._base)
        reading = Reading.of(self.method.needs) if kept else None
        # As they ran they differ from another run's by rounding, as packed rows do.
        sampled = sampled_rollouts(
            self, prompt_ids, images, num_generations, reading, noised, keep_states=self.sharing.on
        )
        batch = self.rollout_batch
        if sampled.prefix is not None:
            rank, call = self.ranks.index, len(batch.sampler_calls)
            batch.places = clean_places(rank, call, sampled.owner.tolist(), num_generations, noised)
            batch.sampler_calls.append(sampled.prefix)
        self._log_values({PLACEHOLDER_MASS: sampled.banned_mass})
        batch.overflown = sampled.overflown.tolist()
        return sampled.lists(), None

    # --- 4. responses -> rewards ----------------------------------------------------------------------

    def _calculate_rewards(self, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Rewards [N, functions] of all ranks; only advantages leave TRL's caller, so they are kept."""
        batch = self.rollout_batch
        if batch.chosen is None:
            batch.groups_rewarded = max(len(inputs) // self.num_generations, 1)
            whole = reads_whole_rows(self.reward_funcs)
            told = told_rewards(inputs, whole=whole, opening=self.opening)
            batch.rewards = super()._calculate_rewards(told, *args, **kwargs)
            batch.extras = self.extras.take(len(inputs))
            undecided = batch.rewards[:, undecided_columns(self.reward_funcs)].isnan().any(1)
            batch.rewards[undecided] = float("nan")  # no other reward counts for such a rollout
        else:
            batch.rewards = torch.cat([group.rewards for group in batch.chosen])
            batch.extras = [
                one.extras for one in self.ranks.own([r for g in batch.chosen for r in g.rollouts])
            ]
        if not batch.filling:
            self.extras.put(batch.extras)
        return batch.rewards

    def _log_metric(self, name: str, value: float) -> None:
        """Weigh a reward's metric by the groups it is about: rounds of dynamic sampling differ in size."""
        for _ in range(self.rollout_batch.groups_rewarded):
            super()._log_metric(name, value)

    # --- 5. micro-batch -> loss -----------------------------------------------------------------------

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if self.model.training:
            self.nan_guard.saw(inputs, loss)
        return loss

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """TRL's policy loss on A·w, plus coefficient · aggregate(term) of every loss term."""
        others = {name: inputs[OTHER + name] for name in self.method.needs.views if OTHER + name in inputs}
        micro = self.micro_batch = MicroBatch(dict(inputs), others)
        loss = super()._compute_loss(model, micro.inputs)
        self.micro_batch = MicroBatch()
        log_probs = micro.log_probs
        if log_probs is None or not self.model.training:
            return loss
        mask = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        sampled = inputs.get("sampling_per_token_logps")
        if sampled is not None:
            own = inputs.get("old_per_token_logps", log_probs).detach()
            apart = (sampled - own).nan_to_num(0.0)
            self._log_mean(DRIFT, apart.abs(), mask)
            self._log_mean(DRIFT_ONE_WAY, apart, mask)
        blank, only = torch.zeros_like(log_probs), next(iter(self.method.needs.views), "")
        steps = self.args.gradient_accumulation_steps
        for term in self.terms:
            other = micro.other_log_probs.get(term.view or only, blank)
            values = term.function(log_probs, other, mask)
            value = aggregate(values, mask, self.args, inputs, self.ranks.count)
            loss = loss + term.coefficient * value
            mean = self.ranks.gather_rows(value.detach() * steps).mean().item()
            self._log_values({TERM + (term.name if term.view is None else f"{term.name}/{term.view}"): mean})
        return loss

    # --- 6. log-probs: of the policy that sampled, of the reference, and of the training forward --------

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """TRL's log-probs [b, T]; the scoring pass answers for the policy that sampled."""
        if self.rollout_batch.awaits_old_log_probs:
            return self._old_log_probs(*args[:3]), None, None
        length = args[2]
        if not torch.is_grad_enabled():
            inner = without_wrapping(self.accelerator.unwrap_model(model))
            model = self.sharing.rows(inner, model, model, length, kwargs)
            return super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        micro = self.micro_batch
        forward = self._training_forward(model, micro, length)
        result = super()._get_per_token_logps_and_entropies(forward, *args, **kwargs)
        micro.log_probs = result[0]
        if isinstance(forward, TwoForwards) and forward.other_log_probs is not None:
            (view,) = self.method.needs.views
            micro.other_log_probs[view] = forward.other_log_probs[:, -result[0].shape[1] :]
        bound, reference = self.method.objective.reference_kl_bound, micro.inputs.get("ref_per_token_logps")
        if bound is not None and reference is not None:  # inside the loss, whose KL reads it next
            micro.inputs["ref_per_token_logps"] = bounded_reference(result[0], reference, bound)
        return result

    def _training_forward(self, model: Any, micro: MicroBatch, length: int) -> Any:
        """What TRL calls in place of the model: every prompt, or at least every image, once, and both views
        where both are differentiated; one wrapped forward either way."""
        needs = self.method.needs
        view = needs.view

        def whole(**inputs: Any) -> Any:
            return self._plain_forward(**with_shared_images(self._base, inputs, micro.inputs))

        plain = self.sharing.rows(self._base, self._plain_forward, whole, length, micro.inputs)

        def second(inner: Any, inputs: dict[str, Any]) -> dict[str, Any]:
            assert view is not None
            return second_view_inputs(view, inner, inputs, micro.inputs)

        if needs.second_view_gradient and view is not None:
            return TwoForwards(model, plain, second)
        return lambda **inputs: model(inside=lambda _: plain(**inputs))

    def _asks_for_old_log_probs(self) -> bool:
        """Whether TRL will want the sampling policy's log-probs of this rollout batch, before any other."""
        generate_every = self.args.steps_per_generation * self.num_iterations
        stale = self.args.gradient_accumulation_steps % generate_every != 0
        corrected = self.use_vllm and self.vllm_importance_sampling_correction
        return self.model.training and not self.tools and (stale or corrected)

    def _old_log_probs(self, ids: Tensor, mask: Tensor, length: int) -> Tensor:
        """log π [b, T] of the policy that sampled, from the scoring pass, whose scores are kept."""
        batch, needs = self.rollout_batch, self.method.needs
        batch.awaits_old_log_probs = False
        tensors = {
            "prompt_ids": ids[:, :-length],
            "completion_ids": ids[:, -length:],
            "prompt_mask": mask[:, :-length],
            "completion_mask": mask[:, -length:],
        }
        rollouts = batch.as_rollouts(tensors, self.num_generations, self.ranks.index)
        if needs.second_view_gradient and not needs.signals:  # the second view runs with the training forward
            return self._score(rollouts, Needs(frozenset(), None, second_view_gradient=False)).log_probs
        batch.scores = self._score(rollouts, needs, batch.prefilled)
        return batch.scores.log_probs

    # --- 7. before every optimizer step ---------------------------------------------------------------

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The gradient's norm; without gradients behind it if the step is to be skipped."""
        norm = super()._get_grad_norm(model, grad_norm)
        for name, value in self.nan_guard.before_step(model, norm).items():
            self._metrics["train"][name] = [value]
        return norm

    # --- 8. what is logged and said -------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self.nan_guard.skipped_all_since_log():
            logs["loss"] = float("nan")  # null in metrics.jsonl; transformers' 0.0 would look like one
        even_columns(self._logs["extra"])
        super().log(logs, start_time)
        for line in self.health.of(logs):
            self.tell(f"step {self.state.global_step}: {line}")

    def tell(self, text: str, level: int = logging.WARNING) -> None:
        """One line on the screen, above the progress bar, and in the log; from rank 0."""
        if self.ranks.main:
            log.log(level, "%s", text)
            with tqdm.external_write_mode(file=sys.stderr):
                self.say(text)

    def _log_values(self, values: Mapping[str, float]) -> None:
        """Metrics, of which TRL logs the mean."""
        for name, value in values.items():
            self._metrics["train" if self.model.training else "eval"][name].append(value)

    def _log_mean(self, name: str, values: Tensor, mask: Tensor) -> None:
        """The mean of `values` [b, T] over the valid tokens of all ranks."""
        self._log_values({name: mean_over_tokens(values, mask, self.ranks) or 0.0})

    # --- 9. held-out problems ------------------------------------------------------------------------

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The run's own held-out problems, where there are any, logged beside the step."""
        if self.validation is None:
            return super().evaluate(*args, **kwargs)
        metrics = held_out_metrics(self, self.validation)
        super(GRPOTrainer, self).log(dict(metrics))  # TRL's own would take the step's metrics along
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _evaluate(self, trial: Any, ignore_keys_for_eval: Any, skip_scheduler: bool = False) -> Any:
        if skip_scheduler and self.state.global_step > 0:  # `eval_on_start`, which is not where a run resumes
            return {}
        return super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler)

    def _determine_best_metric(self, metrics: Any, trial: Any) -> bool:
        """Whether these are the best; a run that is being stopped saves in any case."""
        return super()._determine_best_metric(metrics=metrics, trial=trial) or self.stopping()

    def use_best_step(self) -> None:
        """Give the model the weights of the best step, once training is over.

        It is asked for by whoever trains: transformers' own way would end by deleting the last checkpoint.
        """
        best = best_checkpoint(self)
        interrupted = self.stopping() and self.state.global_step < self.state.max_steps
        if interrupted or best is None:  # a callback that ends training early leaves a finished run
            return
        if why := fault(best):
            self.tell(f"the best, {best.name}, cannot be used, {why}; the model is that of the last step")
            return
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            self.state.best_model_checkpoint = str(best)
            self._load_best_model()
        else:
            load_weights(self.model, best)
        self.model_step = self.state.best_global_step
        self.tell(describe_best(self), logging.INFO)

    # --- 10. saving and resuming ----------------------------------------------------------------------

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        saved_by_transformers = super()._save_checkpoint
        self.checkpointer.save(lambda: saved_by_transformers(model, trial))

    def _get_output_dir(self, trial: Any) -> str:
        staging = self.checkpointer.staging
        return str(staging) if staging is not None else super()._get_output_dir(trial)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """The checkpoint's README.md, in place of TRL's in the run folder."""
        self.checkpointer.write_card(self.card)

    def init_hf_repo(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: what goes to a hub is sent by `hub_upload`, once it is whole."""

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Nothing; transformers would send the folder in which the checkpoint grows."""

    def push_to_hub(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing, as above."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            load_weights(model or self.model, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.checkpointer.restore(Path(checkpoint))

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        self._sampler = super()._get_train_sampler(dataset)
        return self._sampler

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        epochs, steps = super()._init_training_state(*args, **kwargs)
        replay_epochs(self._sampler, epochs)
        return epochs, steps

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True  # the last checkpoint of a run that was finished
            return
        super()._run_epoch(*args, **kwargs)
