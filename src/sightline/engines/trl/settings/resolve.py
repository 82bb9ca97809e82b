"""Flags, YAML and the method's defaults -> one resolved set of settings, and what set each."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from trl.scripts.utils import TrlParser
from trl.trainer.model_config import ModelConfig

from ....errors import UserError
from ....methods import Method
from ...command_line import split_config
from ...objective_settings import describe_method
from ...resolved_settings import check_resume, read_config, resolve
from .batch_sizes import describe_sharing
from .config import OURS, TrainConfig
from .hardware import check_peft
from .objective import grpo_settings
from .refused import module_names
from .vllm_settings import longest_prompt

_HINTS = typing.get_type_hints(ModelConfig) | typing.get_type_hints(TrainConfig)


HELP_ALL = "--help-all"
"""Explains TRL's settings too."""


@dataclass(frozen=True)
class Settings:
    """A run's resolved settings."""

    train: TrainConfig
    model: ModelConfig
    method: Method
    set_by: dict[str, str]
    """Setting -> "flag", "python", "yaml" or "method"; what is not named has TRL's (or our one) default."""
    own_rewards: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """Reward functions that were given as such, by their names in `rewards`."""

    def describe_method(self) -> str:
        """One line: what the method set, and what overrode it."""
        return describe_method(self.method, grpo_settings(self.method.objective), self.train, self.set_by)

    def describe_sharing(self, reason: str | None = None) -> str:
        """One line: how many prompt tokens training does not run again, and how more could be.

        `reason` says why none are, where that has shown itself with the model.
        """
        dropout = self.model.lora_dropout if self.model.use_peft else 0
        if reason is None and dropout:
            reason = f"lora_dropout {dropout} differs from row to row; lora_dropout: 0 shares them"
        return describe_sharing(self.train, reason)

    def longest_prompt(self, positions: int | None) -> int | None:
        """The longest prompt that a run takes, in tokens, of a model with so many positions; None: any."""
        return longest_prompt(self.train, positions)

    def as_dict(self) -> dict[str, Any]:
        """Every setting as plain data, for config.yaml."""
        train = json.loads(self.train.to_json_string())
        model = {f.name: getattr(self.model, f.name) for f in dataclasses.fields(self.model)}
        plain = {
            key: value
            for key, value in model.items()
            if value is None or isinstance(value, str | int | float | list)
        }
        return (
            plain
            | train
            | {"model": self.model.model_name_or_path, "method_options": dict(self.method.options)}
        )


class _Parser(TrlParser):
    """TRL's parser; wrong use raises instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see sightline train --help")


def parser() -> TrlParser:
    """Every setting as a flag."""
    both: Any = [TrainConfig, ModelConfig]
    return _Parser(
        dataclass_types=both,
        prog="sightline train",
        description="Train a vision-language model with a perception-grounded method.",
        usage="sightline train --config FILE [--any_field value]\n"
        "example: sightline train --config recipes/demo.yaml --method pgpo --max_steps 20",
        allow_abbrev=False,
    )


def parse(argv: Sequence[str], given: Mapping[str, Any] | None = None) -> Settings:
    """Resolve a command line and what Python gives.

    Precedence: a flag, `given` from Python, the YAML, the method's own defaults, TRL's.

    Raises:
        UserError: a key, method or option is unknown (the nearest valid ones are named), a value has
            the wrong type, or the config file is missing or not a mapping.
    """
    options = parser()
    flags, config_file = split_config(argv)
    if {"-h", "--help", HELP_ALL} & set(flags):
        _explain(options, everything=HELP_ALL in flags)
        raise SystemExit(0)
    found = resolve(options, flags, read_config(config_file), config_file, _HINTS, grpo_settings, given)
    train, model = found.settings
    _read_resume(train)
    check_resume(train, found.set_by)
    train.model = model.model_name_or_path = train.model or model.model_name_or_path
    model.lora_target_modules = module_names(model.lora_target_modules)
    check_peft(model)
    return Settings(train, model, found.method, found.set_by)


def _explain(parser: TrlParser, *, everything: bool) -> None:
    """Print our own settings, then TRL's or how to see them."""
    ours = {*OURS, "help"}
    actions = [action for action in parser._actions if action.dest != "config"]
    sections = [("settings of Sightline", [action for action in actions if action.dest in ours])]
    if everything:
        rest = [action for action in actions if action.dest not in ours]
        sections.append(("settings of TRL's GRPOConfig and ModelConfig", rest))
    formatter = parser._get_formatter()
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups)
    formatter.add_text(parser.description)
    for title, part in sections:
        formatter.start_section(title)
        formatter.add_arguments(part)
        formatter.end_section()
    if not everything:
        formatter.add_text(f"TRL's own settings, under their own names: sightline train {HELP_ALL}")
    print(formatter.format_help(), end="")


def _read_resume(train: TrainConfig) -> None:
    """transformers' `resume_from_checkpoint: true` is our `resume`."""
    word = str(train.resume_from_checkpoint).lower()
    if word in ("true", "false", "none"):
        train.resume, train.resume_from_checkpoint = train.resume or word == "true", None
