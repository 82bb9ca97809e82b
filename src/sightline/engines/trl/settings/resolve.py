"""Flags, YAML and the method's defaults -> one resolved set of settings, and what set each."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import os
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from trl.scripts.utils import TrlParser
from trl.trainer.model_config import ModelConfig

from ....errors import UserError, unknown_name
from ....methods import Method
from ....methods import method as make_method
from ....run_folder import fresh_name
from .config import PLAIN_DATA, TrainConfig
from .hardware import check_peft
from .objective import grpo_settings

_HINTS = typing.get_type_hints(ModelConfig) | typing.get_type_hints(TrainConfig)


@dataclass(frozen=True)
class Settings:
    """A run's resolved settings."""

    train: TrainConfig
    model: ModelConfig
    method: Method
    set_by: dict[str, str]
    """Setting -> "flag", "yaml" or "method"; what is not named has TRL's (or our one) default."""

    def describe_method(self) -> str:
        """One line: what the method set, and what overrode it."""
        wanted = grpo_settings(self.method.objective)
        parts = []
        for name, value in wanted.items():
            source = self.set_by[name]
            given = getattr(self.train, name)
            parts.append(
                f"{name} {given}" if source == "method" else f"{name} {given} (by {source}, not {value})"
            )
        return f"method {self.method.name} sets: {', '.join(parts)}{self._describe_selection()}"

    def _describe_selection(self) -> str:
        groups, rounds = self.method.objective.informative_groups, self.train.max_rounds
        if groups is None:
            return ""
        wanted = f"mean {groups.key} is not between {groups.low} and {groups.high}"
        if rounds < 2:
            return f"; groups whose {wanted} stay (max_rounds 1)"
        return f"; replaces groups whose {wanted}, in up to {rounds} rounds a batch (max_rounds)"

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


def parse(argv: Sequence[str]) -> Settings:
    """Resolve a command line. Precedence: a flag, the YAML, the method's own defaults, TRL's.

    Raises:
        UserError: a key, method or option is unknown (the nearest valid ones are named), a value has
            the wrong type, or the config file is missing or not a mapping.
    """
    both: Any = [TrainConfig, ModelConfig]
    parser = _Parser(
        dataclass_types=both,
        prog="sightline train",
        description="Train a vision-language model with a perception-grounded method.",
        usage="sightline train --config FILE [--any_field value]\n"
        "example: sightline train --config recipes/demo.yaml --method pgpo --max_steps 20",
        allow_abbrev=False,
    )
    flags, config_file = _split_config(argv)
    if "-h" in flags or "--help" in flags:
        parser.print_help()
        raise SystemExit(0)
    actions = {action.dest: action for action in parser._actions}
    config = _read_yaml(config_file) if config_file else {}
    for name, value in dict(config.pop("env", None) or {}).items():
        os.environ[str(name)] = str(value)
    _check_yaml(config, actions, config_file)
    by_flag = _flags_given(flags, actions)
    method = _method(flags, config)
    defaults = grpo_settings(method.objective)
    parser.set_defaults_with_config(**{"output_dir": fresh_name("train")} | defaults | config)
    train, model = _parse(parser, flags)
    _check_finite(train, model, [*config, *by_flag])
    set_by = (
        dict.fromkeys(defaults, "method") | dict.fromkeys(config, "yaml") | dict.fromkeys(by_flag, "flag")
    )
    model.model_name_or_path = _one_model(train, model)
    train.model = model.model_name_or_path
    check_peft(model)
    return Settings(train, model, method, set_by)


def _split_config(argv: Sequence[str]) -> tuple[list[str], str | None]:
    """The command line without `--config FILE` or `--config=FILE` (TRL reads only the first form)."""
    rest, file = [], None
    words = iter(argv)
    for word in words:
        if word == "--config":
            file = next(words, None)
            if file is None:
                raise UserError("--config needs a file, such as --config recipes/demo.yaml")
        elif word.startswith("--config="):
            file = word.removeprefix("--config=")
        else:
            rest.append(word)
    return rest, file


def _read_yaml(file: str) -> dict[str, Any]:
    try:
        config = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = (
            sorted(str(path) for path in Path(file).parent.glob("*.yaml"))
            if Path(file).parent.is_dir()
            else []
        )
        hint = f"; there are {', '.join(near)}" if near else ""
        raise UserError(f"config file {file} does not exist{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"config file {file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"config file {file} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise UserError(f"config file {file} must hold a mapping of settings, got {type(config).__name__}")
    return config


def _check_yaml(config: Mapping[str, Any], actions: Mapping[str, argparse.Action], file: str | None) -> None:
    """Names and types of the YAML's values; TRL passes wrong types by."""
    for key, value in config.items():
        if key not in actions:
            raise UserError(f"{file}: {unknown_name('setting', str(key), actions)}")
        action = actions[key]
        _check_kind(key, value, file)
        for item in value if isinstance(value, list) else [value]:
            if item is None or isinstance(item, dict) or not callable(action.type):
                continue
            try:
                action.type(str(item))
            except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
                raise UserError(f"{file}: {key} cannot be {item!r}: {error}") from error
            if action.choices and item not in action.choices:
                raise UserError(
                    f"{file}: {key} cannot be {item!r}; choose from {', '.join(map(str, action.choices))}"
                )


def _check_kind(key: str, value: Any, file: str | None) -> None:
    """Lists, mappings and null only where the annotation has them; argparse lets all of them pass."""
    if key in PLAIN_DATA:
        return
    hint = _HINTS[key]
    kinds = [typing.get_origin(one) or one for one in typing.get_args(hint) or (hint,)]
    kinds = [typing.get_origin(hint)] if typing.get_origin(hint) in (list, dict) else kinds
    for kind, name in ((list, "a list"), (dict, "a mapping"), (type(None), "null")):
        if isinstance(value, kind) and kind not in kinds:
            raise UserError(f"{file}: {key} cannot be {name}, got {value!r}")


def _check_finite(train: TrainConfig, model: ModelConfig, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(train, name, getattr(model, name, None))
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{name} must be a finite number, got {value}")


def _flags_given(flags: Sequence[str], actions: Mapping[str, argparse.Action]) -> set[str]:
    by_option = {option: dest for dest, action in actions.items() for option in action.option_strings}
    given = set()
    for word in flags:
        if not word.startswith("--"):
            continue
        name = word.split("=", 1)[0]
        if name not in by_option:
            raise unknown_name("flag", name, [option for option in by_option if "-" not in option[2:]])
        given.add(by_option[name])
    return given


def _method(flags: Sequence[str], config: Mapping[str, Any]) -> Method:
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--method", default=config.get("method", TrainConfig.method))
    early.add_argument("--method_options", "--method-options", default=config.get("method_options") or {})
    given, _ = early.parse_known_args(list(flags))
    options = given.method_options
    if isinstance(options, str):
        try:
            options = yaml.safe_load(options)
        except yaml.YAMLError as error:
            raise UserError(f"method_options is not valid JSON or YAML: {given.method_options}") from error
    if not isinstance(options, dict):
        raise UserError(f"method_options must be a mapping such as {{threshold: 0.4}}, got {options!r}")
    return make_method(given.method, **options)


def _parse(parser: Any, flags: list[str]) -> tuple[TrainConfig, ModelConfig]:
    try:
        with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
            return parser.parse_args_into_dataclasses(args=flags)
    except UserError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, OSError, ImportError) as error:
        what = " ".join(str(error).split())
        raise UserError(f"the settings make no sense: {what}" if what else repr(error)) from error


def _one_model(train: TrainConfig, model: ModelConfig) -> str:
    names = {name for name in (train.model, model.model_name_or_path) if name is not None}
    if len(names) != 1:
        came = "none" if not names else f"both {train.model} and {model.model_name_or_path}"
        raise UserError(f"expected one model (`model: embedded`, a folder or a hub id), got {came}")
    return names.pop()
