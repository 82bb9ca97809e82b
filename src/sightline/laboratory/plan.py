"""What a study runs: the arms, the seeds, the settings all share, and what is measured on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import UserError
from ..methods import METHODS, method
from ..options import between, check_options, known_names
from .classes import CREDITS

OWN = (
    "seed", "output_dir", "resume", "overwrite", "force", "json", "eval_problems", "report_problems",
    "logging_steps", "report_to",
)  # fmt: skip
"""Settings of a training that the study sets itself."""

CREDIT = "credit"
"""The one setting of an arm that is the study's own."""

CURVES = ("sampled", "greedy")
MEASURES = tuple(f"{curve} {part}" for curve in CURVES for part in ("area", "final"))
"""What a contrast may be decided on: the mean over training of held-out accuracy, or its last value."""

_KEYS = (
    "question", "methods", "arms", "seeds", "baseline", "primary", "contrasts", "evaluate", "target",
    "gradient", "train",
)  # fmt: skip


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
            **{name: value for name, value in self.arm(arm).settings.items() if name != CREDIT},
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
    )


def read_plan(
    file: str, methods: Sequence[str] = (), seeds: int | None = None, changed: Mapping[str, Any] | None = None
) -> Plan:
    """The plan of a lab's YAML; `methods`, `seeds` and `changed` training settings go over what it says.

    A method is an arm of the YAML or a name in `METHODS`. The baseline is always among the arms.

    Raises:
        UserError: the file is missing or no mapping, a key, arm, method or option is unknown, a value is
            out of range, or it sets what the study sets itself.
    """
    config = _read(file)
    known_names(f"key of {file}", config, _KEYS)
    named = _mapping(config, "arms", file)
    wanted = list(dict.fromkeys(methods or config.get("methods") or named))
    if not wanted:
        raise UserError(
            f"no METHOD was given and {file} names none; expected such as sightline study grpo vgpo"
        )
    baseline = str(config.get("baseline") or wanted[0])
    arms = [_arm(name, named, file) for name in dict.fromkeys([baseline, *wanted])]
    train = {**_mapping(config, "train", file), **(changed or {})}
    _check_own(train, f"{file}: train")
    if "method" in train or "method_options" in train:
        raise UserError(f"{file}: train sets the method; expected methods as arms of the study")
    count = config.get("seeds", 2) if seeds is None else seeds
    primary = _primary(config.get("primary"), [arm.name for arm in arms], baseline, chosen=bool(methods))
    return Plan(
        arms=tuple(arms),
        seeds=between(1, whole=True)("seeds", count),
        train=train,
        baseline=baseline,
        primary=primary,
        evaluate=_section(Evaluation, config, "evaluate", file),
        gradient=_section(GradientTest, config, "gradient", file),
        target=between(0, 1, optional=True)("target", config.get("target")),
        question=str(config.get("question") or "").strip(),
        contrasts=_contrasts(_mapping(config, "contrasts", file), [*named, *METHODS]),
    )


def _read(file: str) -> dict[str, Any]:
    try:
        config = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--config {file} cannot be read: {error}; see those in recipes/lab") from error
    except yaml.YAMLError as error:
        raise UserError(f"--config {file} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise UserError(f"--config {file} must hold a mapping, got {type(config).__name__}")
    return config


def _mapping(config: Mapping[str, Any], key: str, file: str) -> dict[str, Any]:
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise UserError(f"{file}: {key} must be a mapping, got {value!r}")
    return dict(value)


def _arm(name: str, named: Mapping[str, Any], file: str) -> Arm:
    """An arm whose method can be built, so that a wrong option is found before anything runs."""
    if name not in named:
        known_names("method or arm", [name], [*named, *METHODS])
        settings: dict[str, Any] = {"method": name}
    else:
        given = named[name]
        if not isinstance(given, dict):
            raise UserError(f"{file}: arm {name} must be a mapping of training settings, got {given!r}")
        settings = {"method": name if name in METHODS else None, **given}
    if settings["method"] is None:
        raise UserError(f"{file}: arm {name} names no method; expected such as {{method: vppo}}")
    _check_own(settings, f"{file}: arm {name}")
    if "/" in name or name.startswith("."):
        raise UserError(f"{file}: an arm is named like a folder, without `/` or a leading `.`; got {name!r}")
    if CREDIT in settings:
        known_names(f"credit of arm {name}", [str(settings[CREDIT])], CREDITS)
    method(str(settings["method"]), **(settings.get("method_options") or {}))
    return Arm(name, settings)


def _check_own(settings: Mapping[str, Any], where: str) -> None:
    if taken := [name for name in settings if name in OWN]:
        raise UserError(f"{where} sets {', '.join(taken)}, which the study sets itself; leave it out")


def _section(kind: type[Any], config: Mapping[str, Any], key: str, file: str) -> Any:
    """A section of whole numbers (and a name, in `evaluate`) over its defaults."""
    given = _mapping(config, key, file)
    least = {"seed": 0, "scored": 0}
    checks = {
        name: (lambda what, value: str(value)) if isinstance(default, str)
        else between(least.get(name, 1), whole=True)
        for name, default in asdict(kind()).items()
    }  # fmt: skip
    return kind(**check_options(f"{file}: {key}", {**asdict(kind()), **given}, checks))


def _contrasts(given: Mapping[str, Any], known: Sequence[str]) -> dict[str, list[str]]:
    """Arm -> arms to hold against it. Those that METHOD on the command line leaves out may be named."""
    for against, others in given.items():
        if not isinstance(others, list) or not others:
            raise UserError(f"contrasts: {against} wants a list of arms, such as {{vgpo: [vgpo-intra]}}; "
                            f"got {others!r}")  # fmt: skip
        known_names("arm in contrasts", [against, *others], known)
    return dict(given)


def _primary(given: Any, arms: Sequence[str], baseline: str, *, chosen: bool) -> Primary | None:
    """The named contrast; None if there is none, or if METHOD on the command line leaves its arms out."""
    if given is None:
        return None
    if not isinstance(given, dict) or "arm" not in given:
        raise UserError(f"primary must be such as {{arm: vgpo, against: {baseline}}}, got {given!r}")
    known_names("setting of primary", given, ["arm", "against", "measure"])
    found = Primary(**{"against": baseline, **given})
    known_names("measure", [found.measure], MEASURES)
    missing = [name for name in (found.arm, found.against) if name not in arms]
    if missing and not chosen:
        known_names("arm in primary", missing, arms)
    return None if missing else found
