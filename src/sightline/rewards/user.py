"""A reward of the user's own: loaded by name, run with a time limit, its mistakes reported with the sample.

It runs in a thread, not in a process: it may hold a model on a GPU, an open connection or TRL's logging
callbacks, none of which can be sent to another process. A thread cannot be killed, so a reward that runs
over its time ends the training with an error, instead of being scored as something it is not. It gets copies
of the lists, what it hands back is read inside the limit, and what it prints goes to the log.

It may be asynchronous. Beside its number a row may get extras, which are logged with it: by TRL's
`log_extra(name, values)`, or as `{"reward": 0.5, "overlap": 0.31}` in place of the number.
"""

from __future__ import annotations

import contextvars
import importlib
import importlib.util
import inspect
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sightline.errors import UserError, unknown_name

from .user_async import awaited
from .user_prints import prints_to_log
from .user_values import Judged, NoList, checked, copied, one_line, plain_extra, read_rewards, shown

_STAMP = "__sightline_stamp__"
"""On the module of a file: which file it was, and when that was written."""
SECONDS = 300.0
"""Time for one batch of a user's own reward."""


class _OutOfTime(Exception):  # noqa: N818
    """The reward is still running; not a `TimeoutError`, which the reward itself may raise."""


class _Raised(Exception):  # noqa: N818
    """The reward raised `error`, whatever that is: a `SystemExit` must not end the run as if it were done."""

    def __init__(self, error: BaseException):
        self.error = error


def load_reward(name: str, seconds: float = SECONDS) -> Callable[..., list[float]]:
    """A user's own reward, `file.py:function` or `package.module:function`, made safe by `guarded`.

    Raises `UserError` if it cannot be imported or is no function.
    """
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise UserError(f"a reward is named file.py:function or package:function, got {name!r}")
    module = _imported(place, name)
    if not hasattr(module, attribute):
        functions = [known for known, value in vars(module).items() if inspect.isfunction(value)]
        raise unknown_name(f"reward function of {place}", attribute, functions)
    function = getattr(module, attribute)
    if not callable(function):
        raise UserError(
            f"reward {name} must be a plain function f(completions, **columns) or an async one, got "
            f"{function!r}"
        )
    return guarded(function, name, seconds)


def guarded(function: Callable[..., Any], name: str, seconds: float = SECONDS) -> Callable[..., list[float]]:
    """`function` with a time limit, its exceptions shown with their sample, and its result checked.

    What it returns beside a row's number goes to `log_extra` and, the mean of numbers, to `log_metric`, where
    these are given. All failures are `UserError`s that name the function: an exception (`sys.exit` is one),
    no result within `seconds`, a result that is no list, another number of rewards than completions, a reward
    that is NaN, infinite in float32, or no number.
    """

    def reward(completions: Sequence[Any], **columns: Any) -> list[float]:
        if log_extra := columns.get("log_extra"):
            columns["log_extra"] = _one_value_each(log_extra, len(completions))
        try:
            with prints_to_log(name):
                judged = _within(seconds, function, completions, columns)
        except _OutOfTime:
            raise UserError(
                f"reward {name} gave no result for {len(completions)} completions within {seconds:g} s; "
                f"make it faster, or load it with a longer limit"
            ) from None
        except NoList as error:
            raise UserError(f"reward {name} {error}") from None
        except _Raised as raised:
            with prints_to_log(name):
                blame = _blame(name, raised.error, function, completions, columns, seconds)
            raise UserError(blame) from raised.error
        values = checked(name, judged.values, completions, columns)
        _log_extras(reward.__name__, judged, columns)
        return values

    reward.__name__ = getattr(function, "__name__", name)
    return reward


def _one_value_each(log_extra: Callable[..., Any], count: int) -> Callable[[str, Any], None]:
    """TRL's `log_extra`, which takes one value per completion and would mix up rows otherwise."""

    def checked_log(column: str, values: Any) -> None:
        found = list(values)
        if len(found) != count:
            raise ValueError(f"log_extra({column!r}) has {len(found)} values for {count} completions")
        log_extra(str(column), [plain_extra(value) for value in found])

    return checked_log


def _log_extras(name: str, judged: Judged, columns: Mapping[str, Any]) -> None:
    log_extra, log_metric = columns.get("log_extra"), columns.get("log_metric")
    for extra, values in judged.extras.items():
        if log_extra is not None:
            log_extra(extra, values)
        numbers = [value for value in values if isinstance(value, int | float)]
        if log_metric is not None and numbers:
            log_metric(f"{name}/{extra}", sum(numbers) / len(numbers))


def _imported(place: str, name: str) -> ModuleType:
    """The module behind a reward; a file that did not change since is not run again for a second reward."""
    try:
        if not place.endswith(".py"):
            with prints_to_log(name):
                return importlib.import_module(place)
        path = Path(place).expanduser()
        if not path.is_file():
            raise UserError(f"reward {name}: there is no file {path}")
        stamp = (str(path.resolve()), path.stat().st_mtime_ns, path.stat().st_size)
        spec = importlib.util.spec_from_file_location(f"sightline_reward_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        known = sys.modules.get(spec.name)
        if known is not None and getattr(known, _STAMP, None) == stamp:
            return known
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        with prints_to_log(name):
            spec.loader.exec_module(module)
        setattr(module, _STAMP, stamp)
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # sys.exit in the file would end the run as if all were well
        raise UserError(f"reward {name} cannot be imported: {_named(error)}") from error
    return module


def _within(
    seconds: float, function: Callable[..., Any], completions: Sequence[Any], columns: dict[str, Any]
) -> Judged:
    """What a call returns; `_OutOfTime` if it takes too long, else as `_judged` raises."""
    outcome: list[Judged | Exception] = []
    context = contextvars.copy_context()

    def call() -> None:
        try:
            outcome.append(context.run(_judged, function, completions, columns))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=call, name="sightline-reward", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise _OutOfTime
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def _judged(function: Callable[..., Any], completions: Sequence[Any], columns: dict[str, Any]) -> Judged:
    """What one call says; `_Raised` for whatever it raises, `NoList` if that is no list."""
    try:
        result = function(completions=copied(completions), **copied(columns))
        if inspect.isawaitable(result):
            result = awaited(result)
        return read_rewards(result, len(completions))
    except NoList:
        raise
    except BaseException as error:
        raise _Raised(error) from error


def _blame(
    name: str,
    error: BaseException,
    function: Callable[..., Any],
    completions: Sequence[Any],
    columns: dict[str, Any],
    seconds: float,
) -> str:
    """What was raised, where, and the first sample that raises alone, looked for within the time limit."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in line {frames[-1].lineno} of {frames[-1].filename}" if frames else ""
    what = f"reward {name} raised {_named(error)}{where}"
    deadline = time.monotonic() + seconds
    for row, completion in enumerate(completions):
        alone = _row(columns, row, len(completions))
        try:
            _within(deadline - time.monotonic(), function, [completion], alone)
        except _OutOfTime:
            break
        except (_Raised, NoList):
            return f"{what}, at sample {row}: {shown(completions, columns, row)}"
    return f"{what}, at no single sample; the first is {shown(completions, columns, 0)}"


def _named(error: BaseException) -> str:
    """An exception on one line; its text is the user's and may itself fail."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be made)"
    return f"{type(error).__name__}: {one_line(text)}"


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
