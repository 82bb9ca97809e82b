"""TRL's GRPOTrainer with a method's weights on the advantages. Nothing of TRL is copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ....methods import Method, Needs
from ....models.scoring.cached_prompts import Prefilled
from ....models.scoring.hidden_states import Reading, SharedPrefix
from ....models.scoring.micro_batches import is_sharded
from ....models.scoring.score import Scores, score
from ....objectives import bounded_reference
from ....rollouts import Rollouts
from ...blindness_probe import image_effect
from ...credit import count_without_image, loss_terms, rewards_to_advantages, token_advantages
from ...ranks import mean_over_tokens
from ...registry import Credit
from ...vision_tower_sync import keep_tower_in_step
from ...wrapped_forward import accept_inside
from ..data.dataset import UNUSABLE
from ..data.group_order import PROMPT, SUMS, together
from ..settings.config import TrainConfig
from .extra_terms import aggregate
from .generation import sampled_rollouts, samples_itself, tokenized_once
from .image_sharing import with_shared_images
from .nan_guard import GuardedTrainer
from .second_view import TwoForwards, second_view_inputs, second_view_rows


class PerceptionTrainer(GuardedTrainer):
    """GRPO whose advantages carry a method's token weights, A·w [B, T].

    The weights are computed once per rollout batch, before it is shuffled or split, over the true
    prompt groups of all ranks. The trainer never learns which paper it runs.
    """

    model: Any
    args: TrainConfig

    def __init__(self, *, method: Method, args: TrainConfig, credit: Credit | None = None, **kwargs: Any):
        super().__init__(selection=method.objective.informative_groups, args=args, **kwargs)
        self.method = method
        self.credit = credit
        self.terms = loss_terms(method)
        self._group_size = int(args.num_generations or 0)
        self._rewards = torch.empty(0)
        self._log_probs: Tensor | None = None
        self._batch: dict[str, Any] = {}
        self._base = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        self._plain_forward = accept_inside(self._base)
        if self.accelerator.num_processes > 1:
            for whole in (self._base, self.ref_model):
                if whole is not None:
                    keep_tower_in_step(self.accelerator.unwrap_model(whole), self.processing_class)
        self._unanswered: list[dict[str, Any]] | None = None
        self._first_look: Scores | None = None
        self._calls: list[SharedPrefix] = []
        self._ran: Prefilled | None = None

    # --- rollouts -> scores -> weights -> advantages -------------------------------------------------

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        # Only advantages leave TRL's caller, so the rewards of all ranks are kept here.
        self._rewards = super()._calculate_rewards(*args, **kwargs)
        return self._rewards

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        # TRL marks a text-only row among image rows with None, on which processors fail.
        result = list(super()._generate(prompts))
        if self._chosen is not None or self.selection is None:  # the batch, not a round that fills it
            self._ran, self._calls = self._prompts_that_ran(), []
        if result[6] is not None:
            result[6] = [images or [] for images in result[6]]
        return tuple(result)

    def _tokenize_prompts(self, prompts: list[Any]) -> Any:
        if samples_itself(self):
            return tokenized_once(prompts, super()._tokenize_prompts)
        return super()._tokenize_prompts(prompts)

    def _generate_single_turn(
        self,
        prompt_ids: Any,
        images: Any,
        multimodal_fields: Any,
        num_generations: int,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if not samples_itself(self):
            return super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, *args, **kwargs
            )
        kept = self.model.training and self._scores_rollouts and not is_sharded(self._base)
        sampled = sampled_rollouts(
            self, prompt_ids, images, num_generations, Reading.of(self.method.needs) if kept else None
        )
        if sampled.prefix is not None:
            rank, call = self.accelerator.process_index, len(self._calls)
            self._prefilled = [(rank, call, place) for place in sampled.owner.tolist()]
            self._calls.append(sampled.prefix)
        mode = "train" if self.model.training else "eval"
        self._metrics[mode]["sampling/placeholder_mass"].append(sampled.banned_mass)
        self._overflown = sampled.overflown.tolist()
        return sampled.lists(), None

    @property
    def _scores_rollouts(self) -> bool:
        needs = self.method.needs
        return bool(needs.signals) or (needs.view is not None and not needs.second_view_gradient)

    def _prompts_that_ran(self) -> Prefilled | None:
        """Where this rank's prompts ran, for the scoring pass to go on from; None if not all ran here."""
        here = [place for place in self._prefilled if place and place[0] == self.accelerator.process_index]
        if not here or len(here) < len(self._prefilled):
            return None
        _, call, place = torch.tensor(here, device=self.accelerator.device).T
        return Prefilled.of(self._calls, call, place)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        try:
            return self._scored_rollouts(inputs)
        finally:
            self._calls, self._ran = [], None

    def _scored_rollouts(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        inputs = self._informative_rows(inputs)
        self._log_images(inputs)
        self._unanswered, self._first_look = inputs if self._asks_for_old_log_probs() else None, None
        out: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if not self.model.training:
            return out
        out[PROMPT] = self._rollouts(inputs, out).group_ids
        out["advantages"] = self._group_advantages(out["advantages"])
        rollouts = self._rollouts(inputs, out)
        self._look_for_blindness(rollouts)
        needs = self.method.needs
        if needs.second_view_gradient and needs.view is not None:
            seeds = {"seed": self.args.seed, "step": self.state.global_step}
            out |= second_view_rows(needs.view, rollouts, self.model, self.processing_class, **seeds)
        scores = None
        if self._scores_rollouts:
            scores = self._first_look or self._score(rollouts, needs, self._ran)
        if scores is None:  # where there are scores, statistics count
            self._log_values(count_without_image(rollouts, self.ranks))
        rollouts = self._leave_out(rollouts, self._why_unusable(inputs), scores, out)
        if scores is not None:
            out["advantages"], measured = token_advantages(
                self.method, out["advantages"], rollouts, scores.signals, self.ranks
            )
            self._log_values(measured)
            if self.terms and scores.other_log_probs is not None:
                out["other_log_probs"] = scores.other_log_probs
        if self.credit is not None:
            weighted = out["advantages"] if scores is not None else out["advantages"][:, None]
            out["advantages"] = weighted * self.credit(inputs, rollouts)
        return out

    def _why_unusable(self, inputs: list[dict[str, Any]]) -> dict[int, str]:
        """Rows that must not be trained on, for their prompts or for their responses."""
        reasons = zip(inputs, self._unusable, strict=True)
        found = {row: given.get(UNUSABLE) or sampled for row, (given, sampled) in enumerate(reasons)}
        return {row: reason for row, reason in found.items() if reason is not None}

    def _log_images(self, rows: list[dict[str, Any]]) -> None:
        """Have TRL collect images, which only a tracker's table shows, where all ranks have some to give.

        It asks for them on the ranks that have any, and would wait for the others.
        """
        wanted = self.args.log_multimodal and self.args.log_completions
        none = not any(row.get("images") for row in rows)
        self.log_multimodal = wanted and not self.ranks.any(none)
        if not self.log_multimodal:
            self._logs["images"].clear()

    def _log_values(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._metrics["train"][name].append(value)

    def _look_for_blindness(self, rollouts: Rollouts) -> None:
        every = self.args.blind_every
        if not every or self._step // (self.args.steps_per_generation * self.num_iterations) % every:
            return
        effect = image_effect(rollouts, self._score, self.ranks)
        if effect is not None:
            self._metrics["train"]["image/log_prob_change"].append(effect)

    def _group_advantages(self, advantages: Tensor) -> Tensor:
        """Group advantages [B] with the papers' epsilon of 1e-6 where TRL's own has 1e-4."""
        args = self.args
        if args.scale_rewards != "group" or args.multi_objective_aggregation != "sum_then_normalize":
            return advantages
        everyone = rewards_to_advantages(self._rewards, self.reward_weights, self._group_size)
        return self.ranks.own(everyone)

    def _rollouts(self, inputs: list[dict[str, Any]], out: dict[str, Any]) -> Rollouts:
        """This rank's rows. TRL's sampler repeats a prompt G times in a row over all ranks, so a row's
        group is its global index // G, also when the group lies on two ranks."""
        rows = torch.arange(len(inputs), device=out["completion_ids"].device)
        rows = rows + self.accelerator.process_index * len(inputs)
        return Rollouts(
            prompt_ids=out["prompt_ids"],
            prompt_mask=out["prompt_mask"],
            response_ids=out["completion_ids"],
            mask=out["completion_mask"] * out.get("tool_mask", 1),
            group_ids=rows // self._group_size,
            images=[row.get("images") or [] for row in inputs],
            sample_ids=[str(row.get("id", "")) for row in inputs],
            rollout_ids=rows % self._group_size,
        )

    def _score(self, rollouts: Rollouts, needs: Needs, prefilled: Prefilled | None = None) -> Scores:
        def scoring(model: Any) -> Scores:
            return score(
                model,
                self.processing_class,
                rollouts,
                needs,
                seed=self.args.seed,
                step=self.state.global_step,
                temperature=self.temperature,
                rows_per_pass=self.args.per_device_train_batch_size,
                prefilled=prefilled,
            )

        with self.accelerator.autocast():
            scores = self.model(inside=scoring)
        if not samples_itself(self):
            self._mean_over_tokens("sampling/placeholder_mass", scores.placeholder_mass, rollouts.mask)
        return scores

    def _asks_for_old_log_probs(self) -> bool:
        """Whether TRL will want the sampling policy's log-probs of this rollout batch, before any other."""
        generate_every = self.args.steps_per_generation * self.num_iterations
        stale = self.args.gradient_accumulation_steps % generate_every != 0
        corrected = self.use_vllm and self.vllm_importance_sampling_correction
        return self.model.training and not self.tools and (stale or corrected)

    def _old_log_probs(self, rows: list[dict[str, Any]], ids: Tensor, mask: Tensor, length: int) -> Tensor:
        """log π [B, T] of the policy that sampled, from the scoring pass, whose other numbers are kept."""
        self._unanswered = None
        columns = {"prompt_ids": ids[:, :-length], "completion_ids": ids[:, -length:]}
        masks = {"prompt_mask": mask[:, :-length], "completion_mask": mask[:, -length:]}
        needs = self.method.needs
        alone = needs.second_view_gradient and not needs.signals
        if alone:
            needs = Needs(frozenset(), None, second_view_gradient=False)
        scores = self._score(self._rollouts(rows, columns | masks), needs, None if alone else self._ran)
        self._first_look = None if alone else scores
        return scores.log_probs

    # --- the loss ------------------------------------------------------------------------------------

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """TRL's log-probs, kept for the extra terms; with both views in one forward where the second
        is differentiated."""
        if self._unanswered is not None:
            return self._old_log_probs(self._unanswered, *args[:3]), None, None
        view = self.method.needs.view
        both = torch.is_grad_enabled() and self.method.needs.second_view_gradient and view is not None
        if both and view is not None:
            model = TwoForwards(
                model,
                self._forward_once_an_image,
                lambda inner, inputs: second_view_inputs(view, inner, inputs, self._batch),
            )
        elif torch.is_grad_enabled():
            wrapped = model
            model = lambda **inputs: wrapped(inside=lambda _: self._forward_once_an_image(**inputs))  # noqa: E731
        result = super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        if torch.is_grad_enabled():
            self._log_probs = result[0]
        if both:
            self._batch["other_log_probs"] = model.other_log_probs[:, -result[0].shape[1] :]
        bound, reference = self.method.objective.reference_kl_bound, self._batch.get("ref_per_token_logps")
        if bound is not None and reference is not None:  # inside the loss, whose KL reads it next
            self._batch["ref_per_token_logps"] = bounded_reference(result[0], reference, bound)
        return result

    def _forward_once_an_image(self, **inputs: Any) -> Any:
        return self._plain_forward(**with_shared_images(self._base, inputs, self._batch))

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        self._batch = dict(inputs)
        loss = super()._compute_loss(model, self._batch)
        mask = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        log_probs = self._log_probs
        if log_probs is None or not self.model.training:
            self._batch = {}
            return loss
        self._measure_drift(inputs, log_probs, mask)
        other = self._batch.get("other_log_probs", torch.zeros_like(log_probs))
        for term in self.terms:
            values = term.function(log_probs, other, mask)
            value = aggregate(values, mask, self.args, inputs, self.accelerator.num_processes)
            loss = loss + term.coefficient * value
            steps = self.args.gradient_accumulation_steps
            self._metrics["train"][f"terms/{term.name}"].append(
                self.accelerator.gather(value.detach() * steps).mean().item()  # pyright: ignore[reportAttributeAccessIssue]
            )
        self._log_probs, self._batch = None, {}
        return loss

    def _measure_drift(self, inputs: dict[str, Any], log_probs: Tensor, mask: Tensor) -> None:
        """How far the sampler's log-probs are from the trainer's, under the weights that sampled."""
        sampled = inputs.get("sampling_per_token_logps")
        if sampled is None:
            return
        own = inputs.get("old_per_token_logps", log_probs).detach()
        self._mean_over_tokens("sampling/drift", (own - sampled).nan_to_num(0.0).abs(), mask)

    def _mean_over_tokens(self, name: str, values: Tensor, mask: Tensor) -> None:
        """Log the mean of `values` [B, T] over the valid tokens of all ranks."""
        self._metrics["train"][name].append(mean_over_tokens(values, mask, self.ranks) or 0.0)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        known = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is not None and self._buffered_inputs is not known:
            if self.args.loss_type in SUMS and not self.aux_loss_enabled:
                self._buffered_inputs = together(self._buffered_inputs, self.args.gradient_accumulation_steps)
                inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]
            self._normalise_per_step(self._buffered_inputs)
        return inputs

    def _normalise_per_step(self, batches: list[dict[str, Any]]) -> None:
        """Make TRL's token mean exact per optimizer step, as the papers run it.

        TRL divides by the rollout batch's tokens shared evenly over its steps; here each step gets the
        tokens of its own micro-batches on all ranks. Where one step spans several rollout batches
        TRL's normaliser stays.
        """
        steps = self.args.gradient_accumulation_steps
        if len(batches) % steps:
            return
        tokens = torch.stack([(b["completion_mask"] * b.get("tool_mask", 1)).sum() for b in batches])
        total: Any = self.accelerator.reduce(tokens.float(), reduction="sum")
        per_step = total.view(-1, steps).sum(1)
        for index, batch in enumerate(batches):
            batch["num_items_in_batch"] = per_step[index // steps] * len(batches) / steps
