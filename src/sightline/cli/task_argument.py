"""The task of a command line, in every form that `train` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..engines.reward_settings import reward_weights
from ..errors import UserError
from ..plain_files import Refused, parse_yaml, read_yaml
from ..rewards.functions import compares_golds
from ..tasks import DataOptions

FORMS = (
    "a name, hub id, file or folder; a mapping or list as JSON or YAML; or a .yaml file: a task or a recipe"
)


@dataclass(frozen=True)
class AskedTask:
    """A task and what a recipe says about its data."""

    task: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `DataOptions`."""
    max_prompt_length: int | None = None


def read_task(text: str) -> AskedTask:
    """The task that `text` names or holds.

    Raises:
        UserError: the file cannot be read or holds no task, or the text is neither JSON nor YAML.
    """
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _of(parse_yaml(text), f"task {text[:80]}")
        except Refused as error:
            raise UserError(f"the task is not valid JSON or YAML, it {error}: {text[:200]}") from error
    if not text.endswith((".yaml", ".yml")):
        return AskedTask(text)
    try:
        return _of(read_yaml(text), f"recipe {text}")
    except OSError as error:
        raise UserError(f"recipe {text} cannot be read: {error}") from error
    except Refused as error:
        raise UserError(f"recipe {text} {error}") from error


def _of(given: Any, what: str) -> AskedTask:
    if isinstance(given, list) or (isinstance(given, Mapping) and "source" in given):
        return AskedTask(given)
    if not isinstance(given, Mapping) or "task" not in given:
        raise UserError(
            f"{what} names no task; expected a mapping with `task: ...`, a task with `source: ...`, or a list"
        )
    names = [entry.name for entry in fields(DataOptions)]
    options = {name: given[name] for name in names if given.get(name) is not None}
    if given.get("rewards") is not None:
        rewards = reward_weights(given["rewards"], given.get("reward_weights"))
        options["structured_golds"] = not compares_golds(rewards)
    return AskedTask(given["task"], options, given.get("max_prompt_length"))
