"""The scoring pass: rollouts seen once as they were and once with the image taken away -> scores [B, T].

A prompt and its images run once per view; only responses run once per rollout. Hidden states of the
response are all that is kept, and `[B, T, V]` never exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import logging

from ...methods import Needs
from ...rollouts import Rollouts
from ...signals import SIGNALS, token_statistics, visual_focus
from ..families import image_token_id, longest_sequence, placeholder_ids
from ..generation.prompt_inputs import ProcessedImages
from .cached_prompts import Prefilled
from .hidden_states import States, why_not_shared
from .lm_head import Head, gathered_head
from .micro_batches import Bundle, Part, bundles, is_sharded
from .view_pass import Seen, second_view

FOCUS = "visual_focus"
MASS = "placeholder_mass"
_AHEAD = 2
"""Bundles whose images are processed while another one runs."""

_log = logging.get_logger(__name__)


@dataclass(frozen=True)
class Scores:
    """What a scoring pass returns; every tensor is float32 [B, T], 0 at padded positions."""

    signals: dict[str, Tensor]
    """One entry per signal that was asked for, under its name."""
    log_probs: Tensor
    """log π(o_t | image), at the sampling temperature."""
    other_log_probs: Tensor | None
    """log π(o_t | second view); None if no second view was asked for."""
    placeholder_mass: Tensor
    """Probability that the first view gives to multimodal placeholders, which are banned in sampling."""
    skipped: dict[int, str] = field(default_factory=dict)
    """Rows that could not be scored, and why; all their values are 0."""


@torch.no_grad()
def score(
    model: PreTrainedModel,
    processor: Any,
    rollouts: Rollouts,
    needs: Needs,
    *,
    seed: int,
    step: int,
    temperature: float = 1.0,
    rows_per_pass: int = 16,
    share_prefix: bool = True,
    prefilled: Prefilled | None = None,
) -> Scores:
    """Score every response token of `rollouts` by the signals that `needs` names.

    A token's log-prob and its dependency come from the state that predicts it; its visual focus from
    its own state (VGPO App. C). Rows without an image score 0. At most `rows_per_pass` responses run at
    once. With `prefilled` the first view goes on from prompts that sampling has run: those of `rollouts`,
    under the same weights and for the same layer. Call it inside the model's wrapped forward
    (`engines.trl.forward`) when the parameters are sharded; prompts then run again. Raises `ValueError` for
    rollouts of one group whose prompts differ, and for a `prefilled` of another batch.
    """
    kept, skipped = _scorable(model, rollouts)
    shared, sharded = _shares(model, share_prefix), is_sharded(model)
    ran = prefilled if shared and not sharded else None
    if ran is not None and len(ran.call) != len(rollouts):
        raise ValueError(f"prefilled is of {len(ran.call)} rows, the rollouts are {len(rollouts)}")
    first = Seen(
        model,
        processor,
        kept,
        lambda rows: [kept.images[row] for row in rows],
        shared=shared,
        layer=needs.layer,
        prefilled=ran,
    )
    second = None if needs.view is None else second_view(needs.view, first, seed=seed, step=step)
    banned = placeholder_ids(model.config)
    plan = bundles(kept, rows_per_pass, even=sharded, apart=None if ran is None else ran.call)
    names = ["log_prob", MASS, *sorted(needs.signals)] + (["other_log_prob"] if second is not None else [])
    found = {name: torch.zeros(kept.mask.shape, device=kept.mask.device) for name in names}
    was_training = model.training
    model.eval()
    try:
        with gathered_head(model) as head:
            for bundle, images in _prepared(plan, first, second, skipped):
                both = second is not None and (sharded or _shows_any(bundle, kept))
                one = first.states(bundle, images[0].result())
                other = second.states(bundle, images[1].result()) if both and second is not None else one
                for number, part in enumerate(bundle.parts):
                    states = one(number)
                    changed = other(number).predicting if both else states.predicting
                    seen = None if second is None else changed
                    for name, values in _statistics(
                        kept, part, states, seen, head, needs, temperature, banned
                    ).items():
                        found[name][part.rows, : part.length] = values
    finally:
        model.train(was_training)
    return _collected(found, skipped)


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


def _shows_any(bundle: Bundle, rollouts: Rollouts) -> bool:
    return any(len(rollouts.images[row]) > 0 for row in bundle.prompts)


def _prepared(
    plan: Sequence[Bundle], first: Seen, second: Seen | None, skipped: dict[int, str]
) -> Iterator[tuple[Bundle, list[Future[list[ProcessedImages]]]]]:
    """Each bundle with its images in both views, which another thread processes while models run.

    Rows whose prompt was not made from their images are left out and named in `skipped`. One thread,
    since tokenizers, which are part of processors, take no two calls at once.

    Raises:
        ValueError: such rows are a whole bundle and parameters are sharded, so that other ranks would wait.
    """
    views = [first] if second is None or second.image_hidden else [first, second]
    started: list[list[Future[list[ProcessedImages]]]] = []
    with ThreadPoolExecutor(1) as thread:

        def start(bundle: Bundle) -> list[Future[list[ProcessedImages]]]:
            return [thread.submit(view.prepare, bundle) for view in views]

        for number, bundle in enumerate(plan):
            started += [start(later) for later in plan[len(started) : number + _AHEAD + 1]]
            images, started[number] = started[number], []
            ill = first.disagreeing(bundle, images[0].result())
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
            yield bundle, [images[0], images[-1]]


def _statistics(
    rollouts: Rollouts,
    part: Part,
    states: States,
    other: Tensor | None,
    head: Head,
    needs: Needs,
    temperature: float,
    banned: Sequence[int],
) -> dict[str, Tensor]:
    """All numbers of one part, each [R, t], 0 at padding and where two views compare a row without image."""
    mask = rollouts.mask[part.rows, : part.length].bool()
    with head.precision():
        flat = token_statistics(
            states.predicting[mask],
            None if other is None else other[mask],
            head.weight,
            head.bias,
            rollouts.response_ids[part.rows, : part.length][mask],
            temperature=temperature,
            signals=[name for name in sorted(needs.signals) if name != FOCUS],
            logit_scale=head.scale,
            softcap=head.softcap,
            banned_ids=banned,
        )
    flat[MASS] = flat.pop("banned_mass")
    blank = torch.zeros(mask.shape, device=mask.device)
    spread = {name: blank.masked_scatter(mask, values) for name, values in flat.items()}
    shown = torch.tensor([len(rollouts.images[row]) > 0 for row in part.rows.tolist()], device=mask.device)
    for name in needs.signals:
        if name == FOCUS:
            spread[name] = visual_focus(states.own, states.image) * mask
        elif SIGNALS[name].compares_views:
            spread[name] = spread[name] * shown[:, None]
    return spread


def _collected(found: dict[str, Tensor], skipped: dict[int, str]) -> Scores:
    """The batch's numbers as `Scores`; a row with a number that is not finite is skipped."""
    overflown = ~torch.stack([values.isfinite().all(1) for values in found.values()]).all(0)
    for row in overflown.nonzero().flatten().tolist():
        skipped[row] = "its scores are not finite; the forward pass overflowed"
    for values in found.values():
        values[overflown] = 0.0
    log_probs, other = found.pop("log_prob"), found.pop("other_log_prob", None)
    mass = found.pop(MASS)
    return Scores(found, log_probs, other, mass, skipped)


def _shares(model: PreTrainedModel, wanted: bool) -> bool:
    reason = why_not_shared(model) if wanted else None
    if reason:
        _log.warning_once(
            f"Scoring runs every rollout whole: {type(model).__name__} cannot share a prompt, as {reason}."
        )
    return wanted and reason is None
