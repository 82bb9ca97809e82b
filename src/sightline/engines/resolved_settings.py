"""Flags, YAML and the method's defaults -> an engine's settings, and what set each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..methods import Method
from ..objectives import Objective
from ..run_folder import fresh_name
from .command_line import check_finite, check_words, check_yaml, flags_given, method_of, parsed, read_yaml
from .run_settings import PLAIN_DATA, PolicySettings


@dataclass(frozen=True)
class Resolved:
    """What a command line asks for."""

    settings: tuple[Any, ...]
    """One object for each dataclass of the parser."""
    method: Method
    set_by: dict[str, str]
    """Setting -> "flag", "python", "yaml" or "method"; what is not named has its default."""


def read_config(file: str | None) -> dict[str, Any]:
    """The settings of the YAML file, if there is one; its `env` goes into the environment.

    Raises:
        UserError: it is missing, unreadable, or not a mapping.
    """
    config = read_yaml(file) if file else {}
    for name, value in dict(config.pop("env", None) or {}).items():
        os.environ[str(name)] = str(value)
    return config


def resolve(
    parser: Any,
    flags: list[str],
    config: Mapping[str, Any],
    file: str | None,
    hints: Mapping[str, Any],
    method_sets: Callable[[Objective], Mapping[str, Any]],
    given: Mapping[str, Any] | None = None,
) -> Resolved:
    """The settings of a parser of transformers. Precedence: a flag, the YAML, the method's own, its defaults.

    `config` was read from `file`; `hints` are the types of all settings; `method_sets` says what an objective
    sets. `given` are settings from Python, which come before the YAML's; its `method` may be a `Method`.

    Raises:
        UserError: a key, method or option is unknown (the nearest valid ones are named), or a value is of a
            wrong type or not finite.
    """
    own, python = _own_method(given or {})
    actions = {action.dest: action for action in parser._actions}
    check_yaml(config, actions, file, hints, PLAIN_DATA)
    check_yaml(python, actions, "Trainer", hints, PLAIN_DATA)
    yaml, config = config, {**config, **python}
    by_flag = flags_given(flags, parser._actions)
    method = own or method_of(flags, config, PolicySettings.method)
    defaults = method_sets(method.objective)
    parser.set_defaults(**{"output_dir": fresh_name("train"), **defaults, **config})
    check_words(parser, flags)
    settings = parsed(parser, flags)
    check_finite(settings, [*config, *by_flag])
    return Resolved(settings, method, _sources(method=defaults, yaml=yaml, python=python, flag=by_flag))


def check_resume(train: Any, set_by: Mapping[str, str]) -> None:
    """Refuse to resume a run that nothing names: its folder's default is a fresh one.

    Raises:
        UserError: `resume` is set and no `output_dir` is given.
    """
    if train.resume and "output_dir" not in set_by:
        raise UserError("--resume needs --output_dir: the run to continue")


def _own_method(given: Mapping[str, Any]) -> tuple[Method | None, dict[str, Any]]:
    """A method that is given as an object, and the settings with its name in its place."""
    own = given.get("method")
    if not isinstance(own, Method):
        return None, dict(given)
    return own, {**given, "method": own.name, "method_options": dict(own.options)}


def _sources(**given: Mapping[str, Any] | Sequence[str] | set[str]) -> dict[str, str]:
    """Setting -> the last source that names it."""
    return {name: source for source, names in given.items() for name in names}
