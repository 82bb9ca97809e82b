"""What a method is: a frozen description from which every engine can train, and its token weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..objectives import Objective, Term
from ..shaping import Step
from ..signals import signal
from ..value_checks import LARGEST, between, settle
from ..views import View
from ..views import view as make_view
from .inputs import Batch, Scores, checked

MIN_RANGE = 1e-6
"""A range up to this counts as constant, unless a method is told otherwise."""
_CHECKS = {"min_range": between(0, LARGEST), "layer": between(-1000, 1000, whole=True)}


@dataclass(frozen=True)
class Needs:
    """What an engine has to compute for a method; data only."""

    signals: frozenset[str]
    """Names in `SIGNALS`, each to be measured at every generated token under the rollout policy."""
    view: View | None
    """The second view, of which the sampled tokens' log-probs are needed too; None if there is one view."""
    second_view_gradient: bool
    """Whether the second view's log-probs are differentiated, in one forward with the first's."""
    layer: int = -1
    """Which hidden states `visual_focus` compares; −1: the last, after the final norm."""

    @property
    def views(self) -> dict[str, View]:
        """The second views by name."""
        return {} if self.view is None else {self.view.name: self.view}

    def view_of(self, name: str) -> str | None:
        """The second view that a signal compares with the first; None if it compares none."""
        return next(iter(self.views), None) if signal(name).compares_views else None


@dataclass(frozen=True)
class Method:
    """One way to spend the group advantage: weights on tokens, an objective, extra loss terms.

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

    def __post_init__(self) -> None:
        settle(self, f"{self.name}: ", _CHECKS)
        comparing = [name for name in self.signals if signal(name).compares_views]
        if comparing and self.view is None:
            raise UserError(f"{self.name}: {comparing[0]} compares two views; give a view, as view='patches'")
        if self.view is not None and not comparing and not self.terms:
            raise UserError(f"{self.name}: nothing reads the {self.view.name} view; leave view out")
        if self.layer != -1 and not any(signal(name).reads == "hidden" for name in self.signals):
            raise UserError(f"{self.name}: no signal reads hidden states; leave layer out")
        if self.second_view_gradient and not self.terms:
            raise UserError(f"{self.name}: second_grad differentiates terms and there are none; leave it out")

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals its shapings read, each once, in order."""
        return tuple(dict.fromkeys(name for step in self.shapings for name in step.signals))

    @property
    def needs(self) -> Needs:
        """What an engine has to compute for it."""
        return Needs(frozenset(self.signals), self.view, self.second_view_gradient, self.layer)

    def weights(
        self,
        scores: Scores,
        mask: Tensor,
        group_ids: Tensor | Sequence[int],
        has_image: Tensor | Sequence[bool] | None = None,
    ) -> Tensor:
        """Weights float32 `[B, T]` ≥ 0 to multiply into the group advantage; constants for the gradient.

        `scores` is a tensor `[B, T]` or `{signal name: tensor}`, in the range of the signal (None if
        no signal is needed); `mask` `[B, T]` is 1 on generated tokens; `group_ids` `[B]` are integers,
        equal for the rollouts of one prompt, rows in any order; `has_image` `[B]`, all by default. Lists
        and arrays are taken as tensors.
        Padding gives 0 and its scores may be anything. Rows without an image give 1 on their tokens,
        rows without any token 0, and neither takes part in any statistic. A group of one is constant.
        Raises `UserError` for wrong shapes, a mask that is not 0/1, and scores that are not finite or
        out of range, with their row and token.
        """
        batch = checked(self.signals, scores, mask, group_ids, has_image)
        product = torch.ones_like(batch.mask, dtype=torch.float32)
        for step in self.shapings:
            product = product * step(*self.adjusted(step, batch), **self.context(batch))
        weights = torch.where(batch.has_image[:, None], product, 1.0)
        return weights.masked_fill(~batch.mask, 0.0).float()

    def adjusted(self, step: Step, batch: Batch) -> list[Tensor]:
        """The scores that a shaping reads: its signals' scores after the adjustments."""
        measured = bool(self.adjustments) and self.adjustments[0].rule.measured
        columns = [(batch.values if measured else batch.scores)[name] for name in step.signals]
        for change in self.adjustments:
            columns = [change(column, **self.context(batch)) for column in columns]
        return columns

    def context(self, batch: Batch) -> dict[str, Any]:
        """What every rule may ask for beside scores: the mask, the groups, the smallest range."""
        return {"mask": batch.seen, "group_ids": batch.group_ids, "min_range": self.min_range}


def view_for(shapings: Iterable[Step], chosen: Any, default: str | dict[str, str]) -> View | None:
    """The second view of a method: the chosen one, else `default` if any of its signals compares views."""
    if chosen is not None:
        return make_view(chosen)
    compares = any(signal(name).compares_views for step in shapings for name in step.signals)
    return make_view(default) if compares else None
