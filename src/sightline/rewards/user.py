"""A reward of the user's own: loaded by name, run with a time limit, its mistakes reported with the sample.

It runs in a thread, not in a process: it may hold a model on a GPU, an open connection or TRL's logging
callbacks, none of which can be sent to another process. A thread cannot be killed, so a reward that runs
over its time ends the training with an error, instead of being scored as something it is not.
"""

from __future__ import annotations

import contextvars
import importlib
import importlib.util
import inspect
import math
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sightline.errors import UserError, unknown_name

SECONDS = 300.0
"""Time for one batch of a user's own reward."""


class _OutOfTime(Exception):  # noqa: N818
    """The reward is still running; not a `TimeoutError`, which the reward itself may raise."""


def load_reward(name: str, seconds: float = SECONDS) -> Callable[..., list[float]]:
    """A user's own reward, `file.py:function` or `package.module:function`, made safe by `guarded`.

    Raises `UserError` if it cannot be imported or is no plain function.
    """
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise UserError(f"a reward is named file.py:function or package:function, got {name!r}")
    module = _imported(place, name)
    if not hasattr(module, attribute):
        functions = [known for known, value in vars(module).items() if inspect.isfunction(value)]
        raise unknown_name(f"reward function of {place}", attribute, functions)
    function = getattr(module, attribute)
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise UserError(f"reward {name} must be a plain function f(completions, **columns), got {function!r}")
    return guarded(function, name, seconds)


def guarded(function: Callable[..., Any], name: str, seconds: float = SECONDS) -> Callable[..., list[float]]:
    """`function` with a time limit, its exceptions shown with their sample, and its result checked.

    All failures are `UserError`s that name the function: an exception, no result within `seconds`,
    another number of rewards than completions, a reward that is NaN, infinite, or no number.
    """

    def reward(completions: Sequence[Any], **columns: Any) -> list[float]:
        try:
            result = _within(seconds, function, completions, columns)
        except _OutOfTime:
            raise UserError(
                f"reward {name} gave no result for {len(completions)} completions within {seconds:g} s; "
                f"make it faster, or load it with a longer limit"
            ) from None
        except Exception as error:
            raise UserError(_blame(name, error, function, completions, columns, seconds)) from error
        return _checked(name, result, completions, columns)

    reward.__name__ = getattr(function, "__name__", name)
    return reward


def _imported(place: str, name: str) -> ModuleType:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        path = Path(place).expanduser()
        if not path.is_file():
            raise UserError(f"reward {name}: there is no file {path}")
        spec = importlib.util.spec_from_file_location(f"sightline_reward_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"reward {name} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _within(
    seconds: float, function: Callable[..., Any], completions: Sequence[Any], columns: dict[str, Any]
) -> Any:
    """The result of a call, or its exception; `_OutOfTime` if it takes too long."""
    outcome: list[tuple[bool, Any]] = []
    context = contextvars.copy_context()

    def call() -> None:
        try:
            outcome.append((True, context.run(function, completions=completions, **columns)))
        except BaseException as error:
            outcome.append((False, error))

    thread = threading.Thread(target=call, name="sightline-reward", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise _OutOfTime
    succeeded, value = outcome[0]
    if not succeeded:
        raise value
    return value


def _blame(
    name: str,
    error: Exception,
    function: Callable[..., Any],
    completions: Sequence[Any],
    columns: dict[str, Any],
    seconds: float,
) -> str:
    """What was raised, where, and the first sample that raises alone, looked for within the time limit."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in line {frames[-1].lineno} of {frames[-1].filename}" if frames else ""
    what = f"reward {name} raised {type(error).__name__}: {error}{where}"
    deadline = time.monotonic() + seconds
    for row, completion in enumerate(completions):
        alone = _row(columns, row, len(completions))
        try:
            _within(deadline - time.monotonic(), function, [completion], alone)
        except _OutOfTime:
            break
        except Exception:
            return f"{what}, at sample {row}: {_shown(completions, columns, row)}"
    return f"{what}, at no single sample; the first is {_shown(completions, columns, 0)}"


def _checked(name: str, result: Any, completions: Sequence[Any], columns: dict[str, Any]) -> list[float]:
    try:
        rewards = list(result)
    except TypeError:
        raise UserError(f"reward {name} must return a list of numbers, got {type(result).__name__}") from None
    if len(rewards) != len(completions):
        raise UserError(f"reward {name} returned {len(rewards)} rewards for {len(completions)} completions")
    checked = []
    for row, value in enumerate(rewards):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            what = f"reward {name} returned {value!r}, which is no finite number"
            raise UserError(f"{what}, at sample {row}: {_shown(completions, columns, row)}")
        checked.append(number)
    return checked


def _row(columns: Mapping[str, Any], row: int, count: int) -> dict[str, Any]:
    """The columns of one sample; nothing is logged while a culprit is looked for."""
    return {
        key: (lambda *_, **__: None)
        if key in ("log_metric", "log_extra")
        else [value[row]]
        if isinstance(value, list) and len(value) == count
        else value
        for key, value in columns.items()
    }


def _shown(completions: Sequence[Any], columns: Mapping[str, Any], row: int) -> str:
    """One sample on one line, long texts cut."""
    if not completions:
        return "an empty batch"
    sample = {"completion": completions[row], "answer": (columns.get("answer") or [None] * (row + 1))[row]}
    return ", ".join(f"{key} {str(value)[:300]!r}" for key, value in sample.items() if value is not None)
