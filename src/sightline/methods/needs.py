"""What a method asks of an engine: data only, so that neither knows the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..signals import signal, split_view
from ..views import View
from .noised_rollouts import NoisedRollouts


@dataclass(frozen=True)
class Needs:
    """What an engine has to compute for a method; data only."""

    signals: frozenset[str]
    """Names in `SIGNALS`, each to be measured at every generated token under the rollout policy."""
    view: View | None
    """The second view, of which the sampled tokens' log-probs are needed too; None if there is one view, or
    several second ones."""
    second_view_gradient: bool
    """Whether the second view's log-probs are differentiated, in one forward with the first's."""
    layer: int = -1
    """Which hidden states `visual_focus` compares; −1: the last, after the final norm."""
    named_views: Mapping[str, View] = field(default_factory=dict)
    """Several second views by name, where signals and terms name the one they read."""
    reads: frozenset[str] = frozenset()
    """What `Method.weights` has to be given beside scores, names in `CONTEXT`."""
    noisy: str | float | None = None
    """Where "noisy" is read: the probability with which a rollout is noisy, "linear" for 1 − progress; None
    for the rollouts that `rollouts` notes."""
    rollouts: NoisedRollouts | None = None
    """Which rollouts are sampled from another view; None for none."""

    @property
    def views(self) -> dict[str, View]:
        """Every second view by name; the only one by its own."""
        return dict(self.named_views) if self.view is None else {self.view.name: self.view}

    def view_of(self, name: str) -> str | None:
        """The second view that a signal compares with the first; None if it compares none."""
        if not signal(name).compares_views:
            return None
        return split_view(name)[1] or next(iter(self.views), None)
