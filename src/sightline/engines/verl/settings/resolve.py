"""Flags, YAML and the method's defaults -> one resolved set of settings, and what set each."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from transformers import HfArgumentParser

from ....errors import UserError
from ....methods import Method
from ...command_line import OVERRIDES, split_config
from ...objective_settings import describe_method, objective_settings
from ...resolved_settings import check_resume, read_config, resolve
from ...run_settings import read_plain_data
from .checks import check_settings
from .config import VerlConfig
from .counterparts import no_counterpart
from .overrides import Override, overrides_of

GIVEN = "verl_overrides"
"""In a run's config.yaml: what stood behind `--`."""
_HINTS = typing.get_type_hints(VerlConfig)


@dataclass(frozen=True)
class Settings:
    """A run's resolved settings."""

    train: VerlConfig
    method: Method
    set_by: dict[str, str]
    """Setting -> "flag", "yaml" or "method"; what is not named has its default."""
    given: tuple[str, ...]
    """Overrides of verl's configuration behind `--`, which come last."""

    def describe_method(self) -> str:
        """One line: what the method set, and what overrode it."""
        wanted = objective_settings(self.method.objective)
        return describe_method(self.method, wanted, self.train, self.set_by)

    def describe_sharing(self) -> str:
        """One line: this engine runs every rollout behind its own prompt."""
        return "share_prompts: the verl engine runs every rollout behind its own prompt"

    def longest_prompt(self, positions: int | None) -> int | None:
        """`max_prompt_length`; verl itself makes room for prompts and responses."""
        return self.train.max_prompt_length

    def overrides(self) -> list[Override]:
        """verl's configuration for these settings, without those behind `--`."""
        return overrides_of(self.train, self.method)

    def as_dict(self) -> dict[str, Any]:
        """Every setting as plain data, for config.yaml and the model card."""
        return dataclasses.asdict(self.train) | {
            "method_options": dict(self.method.options),
            "generation_batch_size": self.train.batch_rollouts,
            "verl": [str(one) for one in self.overrides()],  # follows from the settings
            GIVEN: list(self.given),
        }


class _Parser(HfArgumentParser):
    """transformers' parser; wrong use raises instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see sightline train --engine verl --help")


def parser() -> HfArgumentParser:
    """Every setting as a flag."""
    wanted: Any = VerlConfig
    return _Parser(
        dataclass_types=wanted,
        prog="sightline train --engine verl",
        description="Train a vision-language model with verl.",
        usage="sightline train --engine verl --config FILE [--any_field value] [-- verl.key=value ...]",
        allow_abbrev=False,
    )


def parse(argv: Sequence[str], given_here: Mapping[str, Any] | None = None) -> Settings:
    """Resolve a command line. Precedence: behind `--`, a flag, the YAML, the method's own defaults, ours.

    `given_here` are settings from Python, which come before the YAML's.

    Raises:
        UserError: a key, method or option is unknown or has no counterpart in verl (its own key is named), a
            value is of a wrong type or out of its range, or the config file is missing or not a mapping.
    """
    options = parser()
    words, given = _split_overrides(argv)
    flags, file = split_config(words)
    if "-h" in flags or "--help" in flags:
        options.print_help()
        raise SystemExit(0)
    config = read_config(file)
    given = [*_overrides(config.pop(GIVEN, None)), *given]
    _check_counterparts(
        [*config, *(given_here or {}), *_named(flags)], {action.dest for action in options._actions}
    )
    found = resolve(options, flags, config, file, _HINTS, objective_settings, given_here)
    (train,) = found.settings
    check_resume(train, found.set_by)
    read_plain_data(train)
    check_settings(train, found.method)
    set_by = found.set_by | ({GIVEN: "flag"} if given else {})
    return Settings(train, found.method, set_by, tuple(given))


def _split_overrides(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command line in front of `--` and behind it.

    Raises:
        UserError: a word behind it is no override of verl's.
    """
    words = list(argv)
    if OVERRIDES not in words:
        return words, []
    place = words.index(OVERRIDES)
    return words[:place], _overrides(words[place + 1 :])


def _overrides(given: Any) -> list[str]:
    """verl's own settings as a command line or a run's config.yaml gives them, checked."""
    words = [str(word) for word in given or ()]
    for word in words:
        if "=" not in word and not word.startswith("~"):
            raise UserError(f"behind -- stand verl's own settings as key=value, got {word!r}")
    return words


def _named(flags: Sequence[str]) -> list[str]:
    words = [flag.removeprefix("--").split("=", 1)[0] for flag in flags if flag.startswith("--")]
    return [word.replace("-", "_") for word in words]


def _check_counterparts(names: Sequence[str], known: Collection[str]) -> None:
    """Refuse settings of TRL's that verl has under another name, or not at all."""
    for name in names:
        if name not in known:
            no_counterpart(str(name))
