"""How a strength falls over a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import UserError
from ..value_checks import LARGEST, between, known_names, one_of, settle


@dataclass(frozen=True, kw_only=True)
class Anneal:
    """A factor in [0, 1] that falls with the progress of a training, optimizer step / all steps.

    "sigmoid": 1 − sigmoid(l·(progress − m)) (NoisyRollout Eq. 3; DVRP Eq. 6 with l 10, m 1/2); "linear":
    1 − progress.
    """

    kind: str = "sigmoid"
    """"sigmoid" or "linear"."""
    steepness: float = 30.0
    """l of the sigmoid; in (0, 1e+06]."""
    middle: float = 2 / 3
    """m, the progress at which the sigmoid is at one half; in [0, 1]."""

    def __post_init__(self) -> None:
        checks = {
            "kind": one_of("sigmoid", "linear"),
            "steepness": between(0, LARGEST, above=True),
            "middle": between(0, 1),
        }
        settle(self, "anneal: ", checks)

    def factor(self, progress: float) -> float:
        """The factor at a progress in [0, 1]."""
        if self.kind == "linear":
            return 1 - progress
        exponent = self.steepness * (progress - self.middle)
        return 1 / (1 + math.exp(min(exponent, 700.0)))

    def plain(self) -> dict[str, Any]:
        """The schedule as plain data, from which `anneal` builds it again."""
        return asdict(self)


def anneal(description: Mapping[str, Any] | str | Anneal | None) -> Anneal | None:
    """A schedule from its kind or plain data; None and a schedule stay as they are."""
    if description is None or isinstance(description, Anneal):
        return description
    given = {"kind": description} if isinstance(description, str) else description
    if not isinstance(given, Mapping):
        raise UserError(f"anneal must be a kind or a mapping of kind, steepness and middle, got {given!r}")
    known_names("setting of anneal", given, [item.name for item in fields(Anneal)])
    return Anneal(**given)
