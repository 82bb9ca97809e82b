"""A command line and its YAML file -> checked values of a settings dataclass; what every engine shares."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..methods import Method, load_plugins
from ..methods import method as make_method
from ..plain_files import Refused, parse_yaml
from ..plain_files import read_yaml as read_any
from ..tasks import check_task
from .other_names import unknown_setting

ENGINE = "engine"
"""The setting that chooses an engine."""
SET_BY = "set_by"
"""In a run's config.yaml: what set each setting."""
_OF_ONE_START = ("output_dir", "resume", "resume_from_checkpoint", "overwrite", "force", "json")
"""Settings of one start of a run, which nobody means who repeats it."""
_HIDDEN = re.compile(r"<[A-Z_]+>")
"""What transformers writes in place of a token."""
OVERRIDES = "--"
"""The word behind which a command line speaks to the engine's own library."""


def split_config(argv: Sequence[str]) -> tuple[list[str], str | None]:
    """The command line without `--config FILE` or `--config=FILE`, and the file.

    Raises:
        UserError: no file follows.
    """
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


def read_yaml(file: str) -> dict[str, Any]:
    """The settings in a YAML file.

    Raises:
        UserError: it is missing, unreadable, or not a mapping.
    """
    try:
        config = read_any(file)
    except FileNotFoundError:
        near = (
            sorted(str(path) for path in Path(file).parent.glob("*.yaml"))
            if Path(file).parent.is_dir()
            else []
        )
        hint = f"; there are {', '.join(near)}" if near else ""
        raise UserError(f"config file {file} does not exist{hint}") from None
    except OSError as error:
        raise UserError(f"config file {file} cannot be read: {error}") from error
    except Refused as error:
        raise UserError(f"config file {file} {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"config file {file} must hold a mapping of settings, got {type(config).__name__}")
    return _as_given(config, file) if isinstance(config.get(SET_BY), dict) else config


def _as_given(record: Mapping[str, Any], file: str) -> dict[str, Any]:
    """What a run was given, of the config.yaml that it left; the rest resolves as it did then.

    A value that was not written down, such as a token, is left out.

    Raises:
        UserError: a setting that something set is not there.
    """
    given = [name for name, source in record[SET_BY].items() if source in ("flag", "python", "yaml")]
    if lost := [name for name in given if name not in record]:
        raise UserError(f"config file {file} is damaged: it says what set {', '.join(lost)}, but not to what")
    kept = {name: record[name] for name in given if name not in _OF_ONE_START}
    kept = {name: value for name, value in kept.items() if not _HIDDEN.fullmatch(str(value))}
    return {ENGINE: record.get(ENGINE, "trl"), **kept}


def chosen_engine(argv: Sequence[str]) -> str | None:
    """The engine that a command line or its YAML names; None if neither does.

    Raises:
        UserError: the flag has no value, or the YAML cannot be read.
    """
    words, file = split_config(argv)
    words = words[: words.index(OVERRIDES)] if OVERRIDES in words else words
    for place, word in enumerate(words):
        if word.startswith(f"--{ENGINE}="):
            return word.partition("=")[2]
        if word == f"--{ENGINE}":
            if place + 1 == len(words):
                raise UserError("--engine needs a name, such as --engine verl")
            return words[place + 1]
    found = read_yaml(file).get(ENGINE) if file else None
    return None if found is None else str(found)


def check_yaml(
    config: Mapping[str, Any],
    actions: Mapping[str, argparse.Action],
    file: str | None,
    hints: Mapping[str, Any],
    plain_data: Sequence[str],
) -> None:
    """Names and types of the YAML's values, which argparse lets pass.

    Raises:
        UserError: a name is unknown (the nearest valid ones are named), or a value is of a wrong type.
    """
    for key, value in config.items():
        if key not in actions:
            raise UserError(f"{file}: {unknown_setting('setting', str(key), actions)}")
        action = actions[key]
        _check_kind(key, value, file, hints, plain_data)
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


def _check_kind(
    key: str, value: Any, file: str | None, hints: Mapping[str, Any], plain_data: Sequence[str]
) -> None:
    """Lists, mappings and null only where the annotation has them; argparse lets all of them pass."""
    if key in plain_data:
        return
    hint = hints[key]
    kinds = [typing.get_origin(one) or one for one in typing.get_args(hint) or (hint,)]
    kinds = [typing.get_origin(hint)] if typing.get_origin(hint) in (list, dict) else kinds
    for kind, name in ((list, "a list"), (dict, "a mapping"), (type(None), "null")):
        if isinstance(value, kind) and kind not in kinds:
            raise UserError(f"{file}: {key} cannot be {name}, got {value!r}")


def check_finite(settings: Sequence[Any], names: Iterable[str]) -> None:
    """Refuse infinity and NaN in any of these settings.

    Raises:
        UserError: naming the first.
    """
    for name in names:
        value = next((getattr(one, name) for one in settings if hasattr(one, name)), None)
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{name} must be a finite number, got {value}")


def flags_given(flags: Sequence[str], actions: Iterable[argparse.Action]) -> set[str]:
    """The settings that flags name.

    Raises:
        UserError: a flag is unknown; the nearest valid ones are named.
    """
    by_option = {option: action.dest for action in actions for option in action.option_strings}
    given = set()
    for word in flags:
        if not word.startswith("--"):
            continue
        name = word.split("=", 1)[0]
        if name not in by_option:
            raise unknown_setting("flag", name, [option for option in by_option if "-" not in option[2:]])
        given.add(by_option[name])
    return given


def method_of(flags: Sequence[str], config: Mapping[str, Any], usual: str) -> Method:
    """The method that flags, the YAML or the default `usual` name, with its options.

    Raises:
        UserError: the options are no mapping, or the method does not take them.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--method", default=config.get("method", usual))
    early.add_argument("--method_options", "--method-options", default=config.get("method_options") or {})
    early.add_argument("--plugins", default=config.get("plugins"))
    given, _ = early.parse_known_args(list(flags))
    load_plugins(given.plugins)
    options = given.method_options
    if isinstance(options, str):
        try:
            options = parse_yaml(options)
        except Refused as error:
            raise UserError(
                f"method_options is not valid JSON or YAML, it {error}: {given.method_options}"
            ) from error
    if not isinstance(options, dict):
        raise UserError(f"method_options must be a mapping such as {{threshold: 0.4}}, got {options!r}")
    return make_method(given.method, **options)


def check_words(parser: argparse.ArgumentParser, flags: Sequence[str]) -> argparse.Namespace:
    """What flags and defaults say, before the machine is asked whether it can: mistakes come first.

    Raises:
        UserError: a word belongs to no flag, no model is named or two are, or a task has no such name.
    """
    given, words = parser.parse_known_args(list(flags))
    if words:
        file = Path(words[0]).suffix in (".yaml", ".yml", ".json")
        meant = f"did you mean --config {words[0]}?" if file else "settings are given as --name value"
        raise UserError(f"{parser.prog} takes no word without a flag, got {words[0]!r}: {meant}")
    models = {getattr(given, name, None) for name in ("model", "model_name_or_path")} - {None}
    if len(models) != 1:
        came = " and ".join(sorted(map(str, models))) or "none"
        raise UserError(f"expected one model (`model: embedded`, a folder or a hub id), got {came}")
    check_task(plain_data("task", given.task))
    return given


def parsed(parser: Any, flags: list[str]) -> tuple[Any, ...]:
    """The dataclasses of a parser of transformers.

    Raises:
        UserError: values do not fit together.
    """
    try:
        with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
            return parser.parse_args_into_dataclasses(args=flags)
    except UserError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, OSError, ImportError) as error:
        what = " ".join(str(error).split())
        raise UserError(f"the settings do not fit together: {what}" if what else repr(error)) from error


def plain_data(name: str, value: Any) -> Any:
    """A setting that a flag gives as JSON or YAML, read.

    Raises:
        UserError: it is neither.
    """
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return parse_yaml(value)
    except Refused as error:
        raise UserError(f"{name} is not valid JSON or YAML, it {error}: {value}") from error
