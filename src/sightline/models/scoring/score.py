"""The scoring pass: rollouts seen once as they were and once with the image taken away -> scores [B, T].

A prompt and its images run once per view; only responses run once per rollout. Hidden states of the
response are all that is kept, and `[B, T, V]` never exists.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import logging

from ...methods import Needs
from ...rollouts import Rollouts
from ...signals import signal, token_statistics
from ..families import image_token_id, longest_sequence, placeholder_ids
from ..generation.prompt_inputs import ProcessedImages
from .cached_prompts import Prefilled
from .hidden_states import Reading, States, why_not_shared
from .lm_head import Head, gathered_head
from .micro_batches import Bundle, MicroBatch, bundles, is_sharded
from .view_pass import ViewPass, second_view

MASS = "placeholder_mass"
OTHER = "other_log_prob"
_AHEAD = 2
"""Bundles whose images are processed while another one runs."""

_log = logging.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How a scoring pass runs; what it computes is the business of `Needs`."""

    seed: int
    """With `step`, what random views are drawn from."""
    step: int
    progress: float = 0.0
    """How far training has come, in [0, 1]: views with a schedule are taken at it."""
    temperature: float = 1.0
    """That of sampling: log-probs are of the policy that sampled."""
    rows_per_pass: int = 16
    """Responses that run at once."""
    share_prefix: bool = True
    """Whether a prompt runs once for all its rollouts, where the model's cache allows it."""
    prefilled: Prefilled | None = None
    """Prompts that sampling has run, from which the first view goes on: those of the rollouts, under the same
    weights and with the same readings. Where parameters are sharded prompts run again."""


@dataclass(frozen=True)
class Scores:
    """What a scoring pass returns; every tensor is float32 [B, T], 0 at padded positions."""

    signals: dict[str, Tensor]
    """One entry per signal that was asked for, under its name."""
    log_probs: Tensor
    """log π(o_t | image), at the sampling temperature."""
    log_probs_of: dict[str, Tensor]
    """log π(o_t | view) under each second view, by its name in `Needs.views`."""
    placeholder_mass: Tensor
    """Probability that the first view gives to multimodal placeholders, which are banned in sampling."""
    skipped: dict[int, str] = field(default_factory=dict)
    """Rows that could not be scored, and why; all their values are 0."""

    @property
    def other_log_probs(self) -> Tensor | None:
        """log π(o_t | second view) where there is one second view, else None."""
        return next(iter(self.log_probs_of.values())) if len(self.log_probs_of) == 1 else None


@torch.no_grad()
def score(
    model: PreTrainedModel,
    processor: Any,
    rollouts: Rollouts,
    needs: Needs,
    options: Scoring | None = None,
    **settings: Any,
) -> Scores:
    """Score every response token of `rollouts` by the signals that `needs` names.

    `options` or, in its place, `settings`, the fields of one: `score(..., seed=0, step=0)`.
    A token's log-prob and its dependency come from the state that predicts it; what reads hidden states
    reads its own (VGPO App. C). Rows without an image score 0. Call it inside the model's wrapped forward
    (`engines.wrapped_forward`) when the parameters are sharded. Raises `ValueError` for rollouts of one group
    whose prompts differ, and for `prefilled` of another batch or another reading.
    """
    chosen = options or Scoring(**settings)
    kept, skipped = _scorable(model, rollouts)
    views = _views(model, processor, kept, needs, chosen)
    names = ["log_prob", MASS, *sorted(needs.signals), *(f"{OTHER}/{name}" for name in needs.views)]
    found = {name: torch.zeros(kept.mask.shape, device=kept.mask.device) for name in names}
    with _evaluating(model), gathered_head(model) as head:
        tokens = _Tokens(kept, needs, head, chosen.temperature, placeholder_ids(model.config))
        for part, states, others in _states(views, kept, chosen, skipped):
            for name, values in tokens.statistics(part, states, others).items():
                found[name][part.rows, : part.length] = values
    return _collected(found, needs, skipped)


@contextlib.contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _views(
    model: PreTrainedModel, processor: Any, rollouts: Rollouts, needs: Needs, chosen: Scoring
) -> dict[str | None, ViewPass]:
    """What is shown in each view: the first under None, the others by name."""
    shared = _shares(model, chosen.share_prefix)
    ran = chosen.prefilled if shared and not is_sharded(model) else None
    if ran is not None and len(ran.call) != len(rollouts):
        raise ValueError(f"prefilled is of {len(ran.call)} rows, the rollouts are {len(rollouts)}")
    reading = Reading.of(needs)
    if ran is not None and not all(prefix.reading.covers(reading) for prefix in ran.prefixes):
        raise ValueError(f"prefilled prompts were not read as {reading}")
    first = ViewPass(
        model,
        processor,
        rollouts,
        lambda rows: [rollouts.images[row] for row in rows],
        shared=shared,
        reading=reading,
        prefilled=ran,
    )
    others = {
        name: second_view(view.at(chosen.progress), first, seed=chosen.seed, step=chosen.step)
        for name, view in needs.views.items()
    }
    return {None: first, **others}


def _states(
    views: Mapping[str | None, ViewPass], rollouts: Rollouts, chosen: Scoring, skipped: dict[int, str]
) -> Iterator[tuple[MicroBatch, States, dict[str, Tensor]]]:
    """Parts of the batch with their states under the first view, and those that predict under the others.

    Where no prompt of a bundle has an image, the other views are the first one, unless ranks have to call the
    model together.
    """
    first = views[None]
    sharded = is_sharded(first.model)
    apart = None if first.prefilled is None else first.prefilled.call
    plan = bundles(rollouts, chosen.rows_per_pass, even=sharded, apart=apart)
    for bundle, images in _prepared(plan, views, skipped):
        shown = sharded or any(len(rollouts.images[row]) > 0 for row in bundle.prompts)
        run = {
            name: view.states(bundle, images[name].result())
            for name, view in views.items()
            if name is None or shown
        }
        for number, part in enumerate(bundle.parts):
            states = run[None](number)
            others = {
                name: run[name](number).predicting if name in run else states.predicting
                for name in views
                if name is not None
            }
            yield part, states, others


def _scorable(model: PreTrainedModel, rollouts: Rollouts) -> tuple[Rollouts, dict[int, str]]:
    """The batch with the tokens of rows that cannot run masked, and why they cannot."""
    placeholder, longest = image_token_id(model.config), longest_sequence(model.config)
    valid = rollouts.mask.bool()
    sampled = ((rollouts.response_ids == placeholder) & valid).any(1)
    length = rollouts.prompt_mask.sum(1) + rollouts.mask.sum(1)
    reasons = dict.fromkeys(sampled.nonzero().flatten().tolist(), "its response holds an image token")
    if longest is not None:
        for row in (length > longest).nonzero().flatten().tolist():
            reasons[row] = f"its {int(length[row])} tokens are more than the model's {longest} positions"
    mask = rollouts.mask.clone()
    mask[list(reasons)] = 0
    return replace(rollouts, mask=mask, response_ids=rollouts.response_ids * mask), reasons


def _prepared(
    plan: Sequence[Bundle], views: Mapping[str | None, ViewPass], skipped: dict[int, str]
) -> Iterator[tuple[Bundle, dict[str | None, Future[list[ProcessedImages]]]]]:
    """Each bundle with its images in every view, which another thread processes while models run.

    Rows whose prompt was not made from their images are left out and named in `skipped`. One thread,
    since tokenizers, which are part of processors, take no two calls at once. Views that only change
    attention see the first view's images.

    Raises:
        ValueError: such rows are a whole bundle and parameters are sharded, so that other ranks would wait.
    """
    first = views[None]
    started: list[dict[str | None, Future[list[ProcessedImages]]]] = []
    with ThreadPoolExecutor(1) as thread:

        def start(bundle: Bundle) -> dict[str | None, Future[list[ProcessedImages]]]:
            own = {
                name: thread.submit(view.prepare, bundle)
                for name, view in views.items()
                if name is None or not view.image_hidden
            }
            return {name: own.get(name, own[None]) for name in views}

        for number, bundle in enumerate(plan):
            started += [start(later) for later in plan[len(started) : number + _AHEAD + 1]]
            images, started[number] = started[number], {}
            ill = first.disagreeing(bundle, images[None].result())
            if ill:
                skipped |= ill
                bundle = bundle.without(ill)
                if not bundle.parts and not is_sharded(first.model):
                    continue
                if not bundle.parts:
                    raise ValueError(
                        f"row {min(ill)}: {ill[min(ill)]}, as in every row beside it; leave such rows out of "
                        "the batch, since under sharded parameters other ranks wait for this one"
                    )
                images = start(bundle)
            yield bundle, images


@dataclass(frozen=True)
class _Tokens:
    """From states to numbers: all that a part's statistics are made with."""

    rollouts: Rollouts
    needs: Needs
    head: Head
    temperature: float
    banned: Sequence[int]

    def statistics(self, part: MicroBatch, states: States, others: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All numbers of one part, each [R, t], 0 at padding and where views of a row without image are
        compared."""
        mask = self.rollouts.mask[part.rows, : part.length].bool()
        flat = self._of_predictions(part, mask, states.predicting, others)
        blank = torch.zeros(mask.shape, device=mask.device)
        found = {name: blank.masked_scatter(mask, values) for name, values in flat.items()}
        shown = [len(self.rollouts.images[row]) > 0 for row in part.rows.tolist()]
        seen = torch.tensor(shown, device=mask.device)
        for name in self.needs.signals:
            row = signal(name)
            if row.reads == "hidden":
                found[name] = states.read[row.name] * mask
            elif row.compares_views:
                found[name] = found[name] * seen[:, None]
        return found

    def _of_predictions(
        self, part: MicroBatch, mask: Tensor, predicting: Tensor, others: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Log-probs and the signals of next-token distributions, of the valid tokens side by side."""
        head, tokens = self.head, self.rollouts.response_ids[part.rows, : part.length][mask]
        found: dict[str, Tensor] = {}
        with head.precision():
            for view, other in list(others.items()) or [(None, None)]:
                read = {signal(key).name: key for key in self._read(view, first=not found)}
                flat = token_statistics(
                    predicting[mask],
                    None if other is None else other[mask],
                    head.weight,
                    head.bias,
                    tokens,
                    temperature=self.temperature,
                    signals=list(read),
                    logit_scale=head.scale,
                    softcap=head.softcap,
                    banned_ids=self.banned,
                )
                found |= {"log_prob": flat["log_prob"], MASS: flat["banned_mass"]}
                found |= {key: flat[name] for name, key in read.items()}
                if view is not None:
                    found[f"{OTHER}/{view}"] = flat[OTHER]
        return found

    def _read(self, view: str | None, *, first: bool) -> list[str]:
        """The signals of next-token distributions that are measured against one view; with the first of the
        views also those that compare none."""
        wanted = [key for key in sorted(self.needs.signals) if signal(key).reads != "hidden"]
        own = {key: self.needs.view_of(key) for key in wanted}
        return [key for key, name in own.items() if name == view or (first and name is None)]


def _collected(found: dict[str, Tensor], needs: Needs, skipped: dict[int, str]) -> Scores:
    """The batch's numbers as `Scores`; a row with a number that is not finite is skipped."""
    overflown = ~torch.stack([values.isfinite().all(1) for values in found.values()]).all(0)
    for row in overflown.nonzero().flatten().tolist():
        skipped[row] = "its scores are not finite; the forward pass overflowed"
    for values in found.values():
        values[overflown] = 0.0
    signals = {name: found[name] for name in sorted(needs.signals)}
    others = {name: found[f"{OTHER}/{name}"] for name in needs.views}
    return Scores(signals, found["log_prob"], others, found[MASS], skipped)


def _shares(model: PreTrainedModel, wanted: bool) -> bool:
    reason = why_not_shared(model) if wanted else None
    if reason:
        _log.warning_once(
            f"Scoring runs every rollout whole: {type(model).__name__} cannot share a prompt, as {reason}."
        )
    return wanted and reason is None
