"""Warnings that a run learns nothing or learns blindly, read from its own metrics; each is given once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .metric_names import DRIFT, DRIFT_ONE_WAY, IMAGE_EFFECT, PLACEHOLDER_MASS, WITHOUT_IMAGE
from .sampler_distribution import reshaped_by

_WINDOW = 5
"""Logged steps over which a number is averaged before it counts."""


_MOST_UNDECIDED = 0.01
_WORTH_SAYING = 1e-3
"""Nats from which a part of the drift is named."""


class WarningSettings(Protocol):
    """The settings that say when to warn; 0 switches a warning off."""

    warn_zero_rewards: int
    """Rollout batches in a row without any reward."""
    warn_entropy: float
    """Share of the entropy that the run began with."""
    warn_drift: float
    """Mean distance of the log-probs of sampler and trainer, in nats."""
    warn_blind: float
    """Mean change of a token's log-prob without its image, in nats."""
    warn_zero_gradient: int
    """Optimizer steps in a row whose gradient is exactly 0."""
    generation_batch_size: Any
    """Rollouts of a batch."""


class HealthWarnings:
    """Reads the metrics of a run as they are logged, and warns of

    - no reward at all for `warn_zero_rewards` rollout batches;
    - a gradient of exactly 0 for `warn_zero_gradient` steps: nothing is learned, and mostly why;
    - more than 1 % of the answers undecided;
    - entropy below `warn_entropy` of what the run began with;
    - log-probs of sampler and trainer more than `warn_drift` apart on average;
    - an image whose absence changes log-probs by less than `warn_blind`: the model trains blind;
    - no image at all.
    """

    def __init__(self, settings: WarningSettings, reshaped: Sequence[str] | None = None):
        """`reshaped`: `reshaped_by` of what was asked, where an engine has added bans to `settings`."""
        self.zero_rewards, self.entropy = int(settings.warn_zero_rewards), float(settings.warn_entropy)
        self.drift, self.blind = float(settings.warn_drift), float(settings.warn_blind)
        self.zero_gradient = int(getattr(settings, "warn_zero_gradient", 0))
        self.rollouts = int(settings.generation_batch_size)
        self.reshaped = reshaped_by(settings) if reshaped is None else list(reshaped)
        self._still = 0
        self._told: set[str] = set()
        self._zeros = 0
        self._first: list[float] = []
        self._entropies: deque[float] = deque(maxlen=_WINDOW)
        self._drifts: deque[float] = deque(maxlen=_WINDOW)

    def of(self, logs: Mapping[str, Any]) -> list[str]:
        """The warnings of one logged step, one line each; none is given twice in a run."""
        found = {
            "rewards": self._no_rewards(logs),
            "gradient": self._stands_still(logs),
            "undecided": self._undecided(logs),
            "entropy": self._collapsed(logs),
            "drift": self._drifted(logs),
            "blind": self._trains_blind(logs),
            "images": self._no_images(logs),
        }
        new = {name: line for name, line in found.items() if line and name not in self._told}
        self._told |= new.keys()
        return list(new.values())

    def _no_rewards(self, logs: Mapping[str, Any]) -> str | None:
        if logs.get("reward") is None:
            return None
        empty = logs["reward"] == 0 and not logs.get("reward_std")
        self._zeros = self._zeros + 1 if empty else 0
        if not self.zero_rewards or self._zeros < self.zero_rewards:
            return None
        cut, boxes = logs.get("completions/clipped_ratio"), logs.get("no_box")
        hints = [f"{cut:.0%} of the responses are cut off by max_completion_length"] if cut else []
        hints += [f"{boxes:.0%} hold no \\boxed{{}}"] if boxes else []
        tail = f" ({'; '.join(hints)})" if hints else ""
        return (
            f"no rollout of the last {self._zeros} batches earned any reward{tail}: nothing is learned. "
            "Look at the answers and their gold with sightline inspect, or at the data with sightline data"
        )

    def _stands_still(self, logs: Mapping[str, Any]) -> str | None:
        norm = logs.get("grad_norm")
        if norm is None:
            return None
        self._still = self._still + 1 if float(norm) == 0 else 0
        if not self.zero_gradient or self._still < self.zero_gradient:
            return None
        return (
            f"the gradient of the last {self._still} logged steps is exactly 0, nothing is learned: "
            + "; ".join(_reasons(logs))
        )

    def _undecided(self, logs: Mapping[str, Any]) -> str | None:
        share = logs.get("undecided")
        if share is None or share <= _MOST_UNDECIDED:
            return None
        return (
            f"{share:.1%} of the answers could not be judged and are left out of their batch: this machine "
            "stops or kills the processes that grade. Look for what uses up its memory"
        )

    def _collapsed(self, logs: Mapping[str, Any]) -> str | None:
        if logs.get("entropy") is None:
            return None
        if len(self._first) < _WINDOW:
            self._first.append(float(logs["entropy"]))
        self._entropies.append(float(logs["entropy"]))
        now, began = sum(self._entropies) / len(self._entropies), sum(self._first) / len(self._first)
        if len(self._entropies) < _WINDOW or not self.entropy or now >= self.entropy * began:
            return None
        return (
            f"entropy has fallen to {now:.3g} nats, from {began:.3g} when the run began: the policy hardly "
            "explores. A lower learning_rate, a higher clip (epsilon_high) or entropy_coef keep it up"
        )

    def _drifted(self, logs: Mapping[str, Any]) -> str | None:
        if logs.get(DRIFT) is None:
            return None
        self._drifts.append(float(logs[DRIFT]))
        now = sum(self._drifts) / len(self._drifts)
        if len(self._drifts) < _WINDOW or not self.drift or now <= self.drift:
            return None
        return (
            f"log-probs of sampler and trainer are {now:.3g} nats apart on average: what is sampled is not "
            f"what is trained{''.join(_known_parts(logs, self.reshaped))}. For the rest compare dtypes, or "
            "sample without vLLM (use_vllm: false) to see if it goes"
        )

    def _trains_blind(self, logs: Mapping[str, Any]) -> str | None:
        change = logs.get(IMAGE_EFFECT)
        if change is None or not self.blind or change >= self.blind:
            return None
        return (
            f"taking the image away moves a token's log-prob by {change:.2g} nats on average: the model "
            "answers without looking. See with sightline inspect whether images reach it and are needed"
        )

    def _no_images(self, logs: Mapping[str, Any]) -> str | None:
        without = logs.get(WITHOUT_IMAGE)
        if without is None or without < self.rollouts:
            return None
        return (
            "no rollout of this batch has an image: every token weighs the same, and nothing is learned "
            "about looking"
        )

    def state(self) -> dict[str, Any]:
        """Plain data from which `restore` continues."""
        return {
            "told": sorted(self._told),
            "zeros": self._zeros,
            "still": self._still,
            "first": self._first,
            "entropies": list(self._entropies),
            "drifts": list(self._drifts),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        self._told, self._zeros, self._first = set(state["told"]), state["zeros"], list(state["first"])
        self._still = state.get("still", 0)  # checkpoints from before it was counted lack it
        self._entropies = deque(state["entropies"], maxlen=_WINDOW)
        self._drifts = deque(state["drifts"], maxlen=_WINDOW)


def _known_parts(logs: Mapping[str, Any], reshaped: Sequence[str]) -> list[str]:
    """What a step's drift is made of, as far as settings and metrics tell, each as the end of a sentence."""
    found = []
    one_way, banned = float(logs.get(DRIFT_ONE_WAY) or 0.0), float(logs.get(PLACEHOLDER_MASS) or 0.0)
    banned = -math.log1p(-min(banned, 0.999999))
    if reshaped and one_way > banned:
        found.append(
            f"; {one_way - banned:.3g} of it come from {', '.join(reshaped)}, after which the sampler's are "
            "taken and which cuts what it does not take"
        )
    if banned >= _WORTH_SAYING:
        found.append(f"; {banned:.3g} of it come from multimodal placeholders, which are never sampled")
    return found


def _reasons(logs: Mapping[str, Any]) -> list[str]:
    """What makes a gradient 0, as far as the metrics of a step tell."""
    found = []
    if logs.get("completions/clipped_ratio") == 1:
        found.append(
            "every response is cut off by max_completion_length, and mask_truncated_completions, if it is "
            "on, leaves all of them out"
        )
    if logs.get("frac_reward_zero_std") == 1 or logs.get("reward_std") == 0:
        found.append(
            "all rollouts of a prompt earn the same reward. Look at the rewards, at do_sample and "
            "temperature (equal responses), and at whether the problems are too hard or too easy"
        )
    if logs.get("learning_rate") == 0:
        found.append("the learning rate is 0 as well")
    return found or ["look at the objective's settings, and at what is frozen"]
