"""The reward functions that a run has chosen, each with a name of its own in everything that is logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sightline.errors import UserError

from . import functions
from .functions import REWARDS, Reward, marks, reward
from .user import guarded

TOTAL = "reward"
"""The weighted sum of all rewards."""


def chosen_rewards(
    names: Mapping[str, float], own: Mapping[str, Callable[..., Any]] | None = None
) -> list[Reward]:
    """The functions behind the names of the setting `rewards`; `own` are functions by name, from Python.

    Raises:
        UserError: a reward is unknown or cannot be loaded; two would be logged under one name, or a user's
            own under that of a built-in or, beside others, of the weighted sum.
    """
    own = own or {}
    chosen = [_guarded(own[name], name) if name in own else reward(name) for name in names]
    seen: dict[str, str] = {}
    for name, function in zip(names, chosen, strict=True):
        shown = shown_name(name, function)
        users = ":" in name or (name in own and not _is_built_in(own[name]))
        if users and shown in REWARDS:
            raise UserError(f"rewards: {name} would be logged as {shown}, which is the name of a built-in "
                            "reward; give the function another name")  # fmt: skip
        if users and shown == TOTAL and len(chosen) > 1:
            raise UserError(f"rewards: {name} would be logged as {TOTAL}, as the weighted sum of all rewards "
                            "is; give the function another name")  # fmt: skip
        if shown in seen:
            raise UserError(f"rewards: {seen[shown]} and {name} would both be logged as {shown}; give one of "
                            "the functions another name")  # fmt: skip
        seen[shown] = name
        if function.__name__ != shown and function.__name__ in names:
            function.__name__ = shown  # mathruler, which is logged as accuracy unless that is there, too
    return chosen


def shown_name(name: str, function: Any) -> str:
    """A built-in reward's name, or the name of a user's function, as TRL logs it."""
    return function.__name__ if ":" in name else name


def _guarded(function: Callable[..., Any], name: str) -> Reward:
    """A function from Python, guarded, with what a built-in says of itself."""
    safe = guarded(function, name)
    vars(safe).update(marks(function))
    return safe


def _is_built_in(function: Any) -> bool:
    """Whether a function from Python is one that this package made."""
    return getattr(function, "__module__", None) == functions.__name__
