"""Rollouts of which a part is sampled from a noised image: a field that every method can take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import UserError
from ..value_checks import between, known_names
from ..views import Anneal, Diffusion, PixelView, View
from ..views import anneal as make_anneal
from ..views import view as make_view


@dataclass(frozen=True, kw_only=True)
class NoisedRollouts:
    """The last floor(share·G) rollouts of a prompt are sampled from `view`, the others from the image.

    All form one group. Rewards, advantages and every log-prob are of the clean image, without a correction
    for how the noised ones were sampled (NoisyRollout Eq. 2). One drawing of the view for all of a prompt's.
    """

    view: PixelView
    """What the noised rollouts are sampled from."""
    share: float = 0.5
    """Of a prompt's rollouts, in [0, 1); 0 changes nothing."""
    anneal: Anneal | None = None
    """How a diffusion view's step falls with training; None: as the view itself says."""

    def __post_init__(self) -> None:
        if not isinstance(self.view, PixelView):
            name = getattr(self.view, "name", self.view)
            raise UserError(f"rollouts: view must replace pixels, as diffusion does, got {name!r}")
        if self.view.per != "prompt":
            raise UserError("rollouts: view must have per='prompt', one drawing for all rollouts of a prompt")
        object.__setattr__(self, "share", between(0, 1)("rollouts: share", self.share))
        if self.share >= 1:
            raise UserError("rollouts: share must be in [0, 1), got 1, which leaves no clean rollout")
        if self.anneal is not None and not isinstance(self.view, Diffusion):
            raise UserError(f"rollouts: anneal lowers the step of a diffusion view, not of {self.view.name}")

    def count(self, group_size: int) -> int:
        """How many of a prompt's rollouts are noised: floor(share·G).

        Raises `UserError` where that is none though `share` is not 0.
        """
        count = math.floor(round(self.share * group_size, 9))
        if self.share > 0 and count == 0:
            raise UserError(
                f"rollouts: share {self.share:g} of {group_size} rollouts is none; give 0, or at least "
                f"{1 / group_size:g}"
            )
        return count

    def at(self, progress: float) -> View:
        """The view at a progress of training in [0, 1]: that of the optimizer step to come over all steps."""
        if self.anneal is not None and isinstance(self.view, Diffusion):
            return self.view.scaled(self.anneal.factor(progress))
        return self.view.at(progress)

    def plain(self) -> dict[str, Any]:
        """The rollouts as plain data, from which `noised_rollouts` builds them again."""
        falling = None if self.anneal is None else self.anneal.plain()
        return {"view": self.view.plain(), "share": self.share, "anneal": falling}


def noised_rollouts(description: Mapping[str, Any] | NoisedRollouts | None) -> NoisedRollouts | None:
    """The rollouts of plain data, a mapping of `view`, `share` and `anneal`; None stays None."""
    if description is None or isinstance(description, NoisedRollouts):
        return description
    if not isinstance(description, Mapping) or "view" not in description:
        raise UserError(f"rollouts must be a mapping of view, share and anneal, got {description!r}")
    known_names("setting of rollouts", description, [item.name for item in fields(NoisedRollouts)])
    given: dict[str, Any] = dict(description)
    shown: Any = make_view(given.pop("view"))
    falling = make_anneal(given.pop("anneal", None))
    return NoisedRollouts(view=shown, anneal=falling, **given)
