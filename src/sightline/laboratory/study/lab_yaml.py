"""A lab's YAML -> the plan of a study, or what is wrong with it in the words of its keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...errors import UserError
from ...methods import METHODS, load_plugins, method, plugin_names
from ...plain_files import Refused, read_yaml
from ...signals import signal
from ...value_checks import between, check_options, known_names
from ..gradient_test.token_classes import CREDITS
from .plan import CREDIT, MEASURES, Arm, Evaluation, GradientTest, Plan, Primary

OWN = (
    "seed", "output_dir", "resume", "overwrite", "force", "json", "eval_problems", "report_problems",
    "logging_steps", "report_to",
)  # fmt: skip
"""Settings of a training that the study sets itself."""

_KEYS = (
    "question", "methods", "arms", "seeds", "first_seed", "baseline", "primary", "contrasts", "evaluate",
    "target", "gradient", "train", "plugins",
)  # fmt: skip


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
    asked = methods or config.get("methods") or list(named)
    if not isinstance(asked, (list, tuple)) or any(not isinstance(name, str) for name in (*named, *asked)):
        raise UserError(f"{file}: methods must be a list of names, and arms have names of text, in quotes "
                        f"where they look like numbers; got {asked!r} and {list(named)!r}")  # fmt: skip
    wanted = list(dict.fromkeys(asked))
    if not wanted:
        raise UserError(
            f"no METHOD was given and {file} names none; expected such as sightline study grpo vgpo"
        )
    train = {**_mapping(config, "train", file), **(changed or {})}
    if plugins := _plugins(config, train):
        load_plugins(plugins)  # arms name what they add
        train["plugins"] = ",".join(plugins)
    baseline = str(config.get("baseline") or wanted[0])
    arms = [_arm(name, named, file) for name in dict.fromkeys([baseline, *wanted])]
    _check_own(train, f"{file}: train")
    if taken := [name for name in ("method", "method_options", CREDIT) if name in train]:
        raise UserError(f"{file}: train sets {taken[0]}; expected it in arms of the study")
    gradient = _section(GradientTest, config, "gradient", file)
    for name in gradient.binned:
        signal(name)
    count = config.get("seeds", 2) if seeds is None else seeds
    known = [*named, *METHODS] if methods else [arm.name for arm in arms]  # METHOD may leave some out
    primary = _primary(config.get("primary"), [arm.name for arm in arms], baseline, chosen=bool(methods))
    return Plan(
        arms=tuple(arms),
        seeds=between(1, whole=True)("seeds", count),
        first_seed=between(0, whole=True)("first_seed", config.get("first_seed", 0)),
        train=train,
        baseline=baseline,
        primary=primary,
        evaluate=_section(Evaluation, config, "evaluate", file),
        gradient=gradient,
        target=between(0, 1, optional=True)("target", config.get("target")),
        question=str(config.get("question") or "").strip(),
        contrasts=_contrasts(_mapping(config, "contrasts", file), known, baseline, file),
    )


def _read(file: str) -> dict[str, Any]:
    try:
        config = read_yaml(file)
    except OSError as error:
        raise UserError(f"--config {file} cannot be read: {error}; see those in recipes/lab") from error
    except Refused as error:
        raise UserError(f"--config {file} {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"--config {file} must hold a mapping, got {type(config).__name__}")
    return config


def _plugins(config: Mapping[str, Any], train: Mapping[str, Any]) -> list[str]:
    """The plugins of a study, of its own line and of its training settings, each once."""
    return list(dict.fromkeys([*plugin_names(config.get("plugins")), *plugin_names(train.get("plugins"))]))


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
    if "plugins" in settings:
        raise UserError(
            f"{file}: arm {name} sets plugins, which load for all arms; write plugins: beside arms:"
        )
    if "/" in name or name.startswith("."):
        raise UserError(f"{file}: an arm is named like a folder, without `/` or a leading `.`; got {name!r}")
    if CREDIT in settings:
        known_names(f"credit of arm {name} in {file}", [str(settings[CREDIT])], CREDITS)
    options = settings.get("method_options") or {}
    if not isinstance(options, dict):
        raise UserError(f"{file}: method_options of arm {name} must be a mapping, got {options!r}")
    built = method(str(settings["method"]), **options)
    if CREDIT in settings and built.terms:
        raise UserError(f"{file}: arm {name} has loss terms, which credit by labels does not reach; "
                        "expected a method without terms, such as dapo")  # fmt: skip
    return Arm(name, settings)


def _check_own(settings: Mapping[str, Any], where: str) -> None:
    if taken := [name for name in settings if name in OWN]:
        raise UserError(f"{where} sets {', '.join(taken)}, which the study sets itself; leave it out")


def _section(kind: type[Any], config: Mapping[str, Any], key: str, file: str) -> Any:
    """A section of whole numbers (and a name, in `evaluate`) over its defaults."""
    given = _mapping(config, key, file)
    least = {"seed": 0, "scored": 0, "pairs": 0, "bins": 2}
    checks = {
        name: (lambda what, value: str(value)) if isinstance(default, str)
        else between(least.get(name, 1), whole=True)
        for name, default in asdict(kind()).items()
    }  # fmt: skip
    return kind(**check_options(f"{file}: {key}", {**asdict(kind()), **given}, checks))


def _contrasts(
    given: Mapping[str, Any], known: Sequence[str], baseline: str, file: str
) -> dict[str, list[str]]:
    """Arm -> arms to hold against it."""
    for against, others in given.items():
        if not isinstance(others, list) or not others:
            raise UserError(f"{file}: contrasts: {against} wants a list of arms, such as "
                            f"{{vgpo: [vgpo-intra]}}; got {others!r}")  # fmt: skip
        known_names(f"arm in contrasts of {file}", [against, *others], known)
    pairs = [frozenset((arm, against)) for against, others in given.items() for arm in others]
    for pair in pairs:
        if len(pair) < 2 or baseline in pair or pairs.count(pair) > 1:
            raise UserError(f"{file}: contrasts compare {' and '.join(sorted(pair))}; expected each pair "
                            "of arms once, without the baseline, which all are held against")  # fmt: skip
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
