"""What a method is: a frozen description from which every engine can train, and its token weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..objectives import Objective, Term
from ..shaping import CONTEXT, Step
from ..signals import signal
from ..value_checks import LARGEST, between, settle
from ..views import Counterfactual, View
from ..views import view as make_view
from .inputs import Batch, Scores, checked, checked_weights
from .needs import Needs
from .noised_rollouts import NoisedRollouts
from .noisy_rows import noisy_choice
from .views_read import check_views

MIN_RANGE = 1e-6
"""A range up to this counts as constant, unless a method is told otherwise."""
_CHECKS = {"min_range": between(0, LARGEST), "layer": between(-1000, 1000, whole=True), "noisy": noisy_choice}


@dataclass(frozen=True)
class Method:
    """One way to spend the group advantage: weights on tokens, an objective, extra loss terms, rollouts.

    The weight is the product of the shapings, each of which reads its own signal's scores after
    `adjustments`. Build one with `method(name, ...)`; every field is data, so `needs` tells an engine
    all it has to compute and `options` writes the method down.
    """

    name: str
    objective: Objective
    variant: str = "paper"
    options: dict[str, Any] = field(default_factory=dict)
    """Resolved plain data: `method(self.name, **self.options)` is this method again."""
    view: View | None = None
    adjustments: tuple[Step, ...] = ()
    """Scores to scores, applied in order to every signal before the shapings."""
    shapings: tuple[Step, ...] = ()
    """Their product is the weight; none gives every token 1."""
    terms: tuple[Term, ...] = ()
    second_view_gradient: bool = False
    min_range: float = MIN_RANGE
    layer: int = -1
    views: Mapping[str, View] = field(default_factory=dict)
    """Several second views by name, in place of `view`; signals (`exact_kl/noised`) and terms name theirs."""
    noisy: str | float | None = None
    """How rollouts are drawn that count as noisy, for rules that read it; `Needs.noisy`."""
    rollouts: NoisedRollouts | None = None
    """Which rollouts are sampled from a noised image."""

    def __post_init__(self) -> None:
        settle(self, f"{self.name}: ", _CHECKS)
        check_views(self.name, self.view, self.views, self.signals, self.terms)
        if self.layer != -1 and not any(signal(name).reads == "hidden" for name in self.signals):
            raise UserError(f"{self.name}: no signal reads hidden states; leave layer out")
        if self.second_view_gradient and self.views:
            raise UserError(f"{self.name}: second_grad differentiates one view; give view in place of views")
        if self.second_view_gradient and isinstance(self.view, Counterfactual):
            raise UserError(f"{self.name}: second_grad cannot differentiate the counterfactual view")
        if self.second_view_gradient and not self.terms:
            raise UserError(f"{self.name}: second_grad differentiates terms and there are none; leave it out")
        if self.noisy is not None and "noisy" not in self.reads:
            raise UserError(f"{self.name}: no shaping reads which rollouts are noisy; leave noisy out")
        if "noisy" in self.reads and self.noisy is None and self.rollouts is None:
            raise UserError(
                f"{self.name}: say which rollouts are noisy, as noisy='linear' or rollouts={{...}}"
            )

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals its shapings read, each once, in order."""
        return tuple(dict.fromkeys(name for step in self.shapings for name in step.signals))

    @property
    def reads(self) -> frozenset[str]:
        """What `weights` has to be given beside scores, names in `CONTEXT`."""
        steps = (*self.adjustments, *self.shapings)
        return frozenset(name for step in steps for name in step.rule.reads)

    @property
    def needs(self) -> Needs:
        """What an engine has to compute for it."""
        return Needs(
            frozenset(self.signals),
            self.view,
            self.second_view_gradient,
            self.layer,
            self.views,
            self.reads,
            self.noisy,
            self.rollouts,
        )

    def weights(
        self,
        scores: Scores,
        mask: Tensor,
        group_ids: Tensor | Sequence[int],
        has_image: Tensor | Sequence[bool] | None = None,
        *,
        advantages: Tensor | Sequence[float] | None = None,
        progress: float = 1.0,
        noisy: Tensor | Sequence[int] | None = None,
    ) -> Tensor:
        """Weights float32 `[B, T]` ≥ 0 to multiply into the group advantage; constants for the gradient.

        `scores` is a tensor `[B, T]` or `{signal name: tensor}`, in the range of the signal (None if
        no signal is needed); `mask` `[B, T]` is 1 on generated tokens; `group_ids` `[B]` are integers,
        equal for the rollouts of one prompt, rows in any order; `has_image` `[B]`, all by default. Lists
        and arrays are taken as tensors.
        What a method reads beside these is in `reads`: `advantages` `[B]`, which the weights multiply;
        `progress`, optimizer step / max_steps in [0, 1]; `noisy` `[B]`, 1 for rollouts that are noisy.
        Padding gives 0 and its scores may be anything. Rows without an image give 1 on their tokens,
        rows without any token 0, and neither takes part in any statistic. A group of one is constant.
        Raises `UserError` for wrong shapes, a mask that is not 0/1, scores that are not finite or out of
        range, with their row and token, what is read and not given, and a rule that returns no weights.
        """
        context = {"advantages": advantages, "progress": progress, "noisy": noisy}
        batch = checked(self.signals, scores, mask, group_ids, has_image, **context)
        missing = [name for name in sorted(self.reads) if getattr(batch, name) is None]
        if missing:
            step = next(s for s in (*self.adjustments, *self.shapings) if missing[0] in s.rule.reads)
            raise UserError(
                f"{self.name}: {step.name} reads {missing[0]}, which was not given; call weights(..., "
                f"{missing[0]}=...) with one entry per row"
            )
        product = torch.ones_like(batch.mask, dtype=torch.float32)
        for step in self.shapings:
            weights = step(*self.adjusted(step, batch), **self.context(batch))
            product = product * checked_weights(step.name, weights, batch)
        weights = torch.where(batch.has_image[:, None], product, 1.0)
        return weights.masked_fill(~batch.mask, 0.0).float()

    def adjusted(self, step: Step, batch: Batch) -> list[Tensor]:
        """The scores that a shaping reads: its signals' scores after the adjustments."""
        first = self.adjustments[0] if self.adjustments else step
        columns = [(batch.values if first.rule.measured else batch.scores)[name] for name in step.signals]
        for change in self.adjustments:
            columns = [change(column, **self.context(batch)) for column in columns]
        return columns

    def context(self, batch: Batch) -> dict[str, Any]:
        """What every rule may ask for beside scores: the mask, the groups, the smallest range, `CONTEXT`."""
        facts = {name: getattr(batch, name) for name in CONTEXT}
        return {"mask": batch.seen, "group_ids": batch.group_ids, "min_range": self.min_range, **facts}


def view_for(shapings: Iterable[Step], chosen: Any, default: str | dict[str, Any]) -> View | None:
    """The second view of a method: the chosen one, else `default` if any of its signals compares views."""
    if chosen is not None:
        return make_view(chosen)
    compares = any(signal(name).compares_views for step in shapings for name in step.signals)
    return make_view(default) if compares else None
