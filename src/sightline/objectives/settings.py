"""The objective of a method as engine-neutral settings; each engine translates them to its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from ..errors import UserError
from ..value_checks import between, known_names, named, one_of, settle


@dataclass(frozen=True, kw_only=True)
class GroupSelection:
    """Keep a prompt only if its rollouts' mean of one reward lies strictly between two bounds.

    Draw new prompts until the batch is full (dynamic sampling): a group that is all right or all
    wrong has advantage 0 and teaches nothing.
    """

    key: str = "accuracy"
    """Which reward is averaged: "accuracy", or "overall" for the weighted sum that is trained on."""
    low: float = 0.01
    high: float = 0.99

    def __post_init__(self) -> None:
        share = between(0, 1)
        checks = {"key": one_of("accuracy", "overall"), "low": share, "high": share}
        settle(self, "informative_groups: ", checks)
        if self.low >= self.high:
            raise UserError(f"informative_groups: low {self.low} must be below high {self.high}")


@dataclass(frozen=True, kw_only=True)
class Objective:
    """How a weighted advantage becomes a loss."""

    name: str = "custom"
    clip_low: float = 0.2
    """Ratios below 1 − clip_low are clipped."""
    clip_high: float = 0.2
    """Ratios above 1 + clip_high are clipped; larger than `clip_low` is clip-higher."""
    dual_clip: float | None = None
    """Bound c > 1 on the loss of a negative advantage, −c·A; None for no bound."""
    ratio: Literal["token", "sequence"] = "token"
    """Importance ratio of each token, or the geometric mean over the response (GSPO)."""
    aggregation: Literal["token_mean", "sequence_mean", "fixed_length"] = "token_mean"
    """Sum over all tokens of the step / their number; mean over rollouts of token means; or
    sum / (rollouts · longest allowed response)."""
    scale_advantages: Literal["group", "none"] = "group"
    """Divide the centred reward by the group's standard deviation, or not (Dr. GRPO)."""
    entropy_penalty: float = 0.0
    """η in `loss + η·mean(−log π)` over sampled tokens; positive pushes entropy down."""
    reference_kl: float = 0.0
    """Coefficient of the KL to a frozen reference policy."""
    reference_kl_bound: float | None = None
    """Largest value of that KL's estimate at a token, without a gradient beyond; None for no bound."""
    overlong: int | None = None
    """Buffer length of `overlong_penalty` in tokens; None for none."""
    informative_groups: GroupSelection | None = None
    """Dynamic sampling; None keeps every group."""

    def __post_init__(self) -> None:
        settle(self, "objective: ", _CHECKS)
        if not isinstance(self.informative_groups, GroupSelection | None):
            wanted = "a mapping of key, low and high, or None"
            raise UserError(
                f"objective: informative_groups must be {wanted}, got {self.informative_groups!r}"
            )

    def plain(self) -> dict[str, Any]:
        """The settings as plain data, from which `objective` builds them again."""
        return asdict(self)


_CHECKS = {
    "clip_low": between(0, 1),
    "clip_high": between(0),
    "dual_clip": between(1, optional=True, above=True),
    "ratio": one_of("token", "sequence"),
    "aggregation": one_of("token_mean", "sequence_mean", "fixed_length"),
    "scale_advantages": one_of("group", "none"),
    "entropy_penalty": between(0),
    "reference_kl": between(0),
    "reference_kl_bound": between(1e-6, 1e6, optional=True),
    "overlong": between(1, whole=True, optional=True),
}

OBJECTIVES: dict[str, Objective] = {
    "dapo": Objective(name="dapo", clip_high=0.28, informative_groups=GroupSelection()),
    "grpo": Objective(name="grpo", aggregation="sequence_mean"),
    "gspo": Objective(
        name="gspo", clip_low=3e-4, clip_high=4e-4, ratio="sequence", aggregation="sequence_mean"
    ),
    "dr_grpo": Objective(name="dr_grpo", aggregation="fixed_length", scale_advantages="none"),
}


def objective(choice: str | Mapping[str, Any] | Objective, **usual: Any) -> Objective:
    """The objective of a name in `OBJECTIVES`, or of plain data, or unchanged if it is one.

    Plain data is a mapping of settings over those of its `name` ("dapo" if it has none). `usual` are
    settings that a method changes in every named objective; plain data goes over them.
    `informative_groups` given as a mapping changes the named objective's selection; as a usual setting
    it does so only where there is one.
    """
    if isinstance(choice, Objective):
        return choice
    name, given = named("objective", {"name": "dapo", **choice} if isinstance(choice, Mapping) else choice)
    known_names("objective", [name], [*OBJECTIVES, "custom"])
    base = OBJECTIVES.get(name, Objective())
    if base.informative_groups is None:
        usual.pop("informative_groups", None)
    chosen = {**usual, **given}
    known_names("setting of objective", chosen, [item.name for item in fields(Objective)])
    groups = chosen.get("informative_groups")
    if isinstance(groups, Mapping):
        known_names("setting of informative_groups", groups, [item.name for item in fields(GroupSelection)])
        chosen["informative_groups"] = replace(base.informative_groups or GroupSelection(), **groups)
    return replace(base, **chosen)
