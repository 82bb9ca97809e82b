"""What a study runs: the arms, the seeds, the settings all share, and what is measured on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

CREDIT = "credit"
"""The one setting of an arm that is the study's own."""

CURVES = ("sampled", "greedy")
MEASURES = tuple(f"{curve} {part}" for curve in CURVES for part in ("area", "final"))
"""What a contrast may be decided on: the mean over training of held-out accuracy, or its last value."""


@dataclass(frozen=True)
class Arm:
    """One way to train that is compared."""

    name: str
    settings: Mapping[str, Any]
    """Of `sightline train`, over those that all share: `method`, `method_options`, `learning_rate`, ...;
    and `credit`, a class of tokens that alone is credited, by the labels of an embedded world."""


@dataclass(frozen=True)
class Evaluation:
    """What is measured while a run trains, always on the same held-out problems."""

    every: int = 5
    """Optimizer steps between two measurements; the first is before step 1, one is after the last."""
    problems: int = 512
    samples: int = 2
    """Sampled answers (temperature 1) to each problem."""
    scored: int = 128
    """Greedy answers whose tokens are scored for visual dependence."""
    split: str = "test"
    """`test`, or `dev` where the task has one: what settings are chosen on."""
    seed: int = 0
    """Which problems of the split."""
    pairs: int = 0
    """Minimal pairs of the split, where the task draws any."""


@dataclass(frozen=True)
class Primary:
    """The one question that is named before the study runs: not corrected for the other comparisons."""

    arm: str
    against: str
    measure: str = MEASURES[0]


@dataclass(frozen=True)
class GradientTest:
    """How many rollout batches the gradient test draws, and how large they are."""

    batches: int = 100
    prompts: int = 16
    rollouts: int = 8
    bin_by: str = ""
    """Signals, with commas between, whose bins get the best weights that there are; none by default."""
    bins: int = 10
    """As many tokens of a batch in each."""

    @property
    def binned(self) -> tuple[str, ...]:
        """The names in `bin_by`."""
        return tuple(dict.fromkeys(name.strip() for name in self.bin_by.split(",") if name.strip()))


@dataclass(frozen=True)
class Plan:
    """All of a study, as plain data in `config.yaml`."""

    arms: tuple[Arm, ...]
    seeds: int
    train: Mapping[str, Any]
    baseline: str
    primary: Primary | None
    evaluate: Evaluation = field(default_factory=Evaluation)
    gradient: GradientTest = field(default_factory=GradientTest)
    target: float | None = None
    """A sampled accuracy; how many steps each arm takes to it is told."""
    question: str = ""
    contrasts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Arm -> arms that are held against it too, beside the baseline: a method and its variants."""
    first_seed: int = 0
    """The seed of an arm's first run; a study leaves out the seeds on which its rates were chosen."""

    @property
    def run_seeds(self) -> range:
        """The seeds of an arm's runs."""
        return range(self.first_seed, self.first_seed + self.seeds)

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def credit(self, arm: str) -> str | None:
        """The class of tokens that alone is credited in this arm; None: all of them."""
        return self.arm(arm).settings.get(CREDIT)

    def settings(self, arm: str, seed: int) -> dict[str, Any]:
        """What `sightline train --config` reads for one run."""
        return {
            **self.train,
            **self.arm(arm).settings,
            "seed": seed,
            "eval_problems": 0,
            "report_problems": 0,
        }

    def plain(self) -> dict[str, Any]:
        """The plan as plain data, from which `from_plain` makes it again."""
        found = asdict(self)
        return {**found, "arms": {arm.name: dict(arm.settings) for arm in self.arms}}


def from_plain(data: Mapping[str, Any]) -> Plan:
    """The plan that `Plan.plain` wrote down."""
    primary = data["primary"]
    return Plan(
        arms=tuple(Arm(name, settings) for name, settings in data["arms"].items()),
        seeds=data["seeds"],
        train=data["train"],
        baseline=data["baseline"],
        primary=None if primary is None else Primary(**primary),
        evaluate=Evaluation(**data["evaluate"]),
        gradient=GradientTest(**data["gradient"]),
        target=data["target"],
        question=data["question"],
        contrasts=data.get("contrasts", {}),
        first_seed=data.get("first_seed", 0),
    )
