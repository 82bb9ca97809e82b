"""Which logged quantities are drawn, in which order, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..tokens.strips import words

NAMES = {
    "accuracy": "Accuracy",
    "reward": "Reward",
    "loss": "Loss",
    "entropy": "Entropy of the policy, nats",
    "kl": "KL to the reference, nats",
    "completions/mean_length": "Answer length, tokens",
    "completions/clipped_ratio": "Answers cut at the limit",
    "no_box": "Answers without a box",
    "frac_reward_zero_std": "Groups without a contrast",
    "image/log_prob_change": "Change of log-probs without the image, nats",
    "seconds": "Seconds per step",
    "late_over_early": "late / early",
    "eval_accuracy": "Held-out accuracy",
    "eval_reward": "Held-out reward",
}

GROUPS = {
    "Held-out problems": ("eval_accuracy", "eval_reward", "eval_rewards/*/mean"),
    "Learning": ("accuracy", "reward", "loss", "frac_reward_zero_std"),
    "Policy": ("entropy", "kl", "completions/mean_length", "completions/clipped_ratio", "no_box"),
    "Looking": (
        "image/log_prob_change",
        "scores/*/mean",
        "scores/*/late_over_early",
        "weights/mean",
        "weights/max",
        "weights/kept_share",
        "weights/effective_sample_share",
    ),
}
"""Heading -> quantities in order, `*` standing for any signal; the rest is in the table of everything."""

SHARES = (
    "accuracy",
    "eval_accuracy",
    "completions/clipped_ratio",
    "no_box",
    "frac_reward_zero_std",
    "weights/kept_share",
)
"""Shares of 1, shown in per cent."""

MOST_CHARTS = 12
"""Per group."""


@dataclass(frozen=True)
class MetricColumn:
    """A column of the metrics and how to show it."""

    name: str
    title: str
    share: bool = False
    reference: float | None = None


def metric_column(name: str) -> MetricColumn:
    """How to show a column: `scores/visual_focus/late_over_early` is "Visual focus, late / early"."""
    parts = name.split("/")
    if name in NAMES:
        title = NAMES[name]
    elif parts[0] == "eval_rewards" and len(parts) > 1:
        title = "Held-out reward, " + ", ".join(part for part in parts[1:] if part != "mean")
    elif parts[0] == "scores" and len(parts) > 1:
        title = ", ".join(_words(part) for part in parts[1:])
    elif parts[0] == "weights" and len(parts) > 1:
        title = "Weights, " + ", ".join(_words(part) for part in parts[1:])
    else:
        title = _words(name)
    compared = name.endswith("late_over_early") or name == "weights/mean"
    return MetricColumn(name, title[:1].upper() + title[1:], name in SHARES, 1.0 if compared else None)


def _words(part: str) -> str:
    return NAMES["late_over_early"] if part == "late_over_early" else words(part)


def interval_columns(name: str) -> tuple[str, str]:
    """The columns that hold the ends of a column's 95 % interval, where it has one."""
    place = name.removesuffix("/mean")
    return f"{place}/low", f"{place}/high"


def groups(names: Iterable[str]) -> dict[str, list[MetricColumn]]:
    """Heading -> the quantities drawn under it, at most `MOST_CHARTS` each; empty headings left out."""
    names = sorted(names)
    found = {
        heading: [metric_column(name) for wanted in order for name in names if fnmatchcase(name, wanted)][
            :MOST_CHARTS
        ]
        for heading, order in GROUPS.items()
    }
    return {heading: quantities for heading, quantities in found.items() if quantities}
