"""A run's configuration as rows: every setting, its value, and what set it."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from .samples import mapping

MOST_SETTINGS = 1000
DEEPEST = 4
ELSEWHERE = ("set_by", "versions")
"""Shown in places of their own."""


@dataclass(frozen=True)
class Setting:
    """One resolved setting; `origin` is "default" where nothing is known to have set it."""

    name: str
    value: str
    origin: str


def settings(config: Mapping[str, Any]) -> tuple[list[Setting], list[Setting]]:
    """The settings that something set, and those left at their defaults."""
    set_by = mapping(config.get("set_by"))
    rows = [
        Setting(name, shown(value), _origin(name, set_by))
        for name, value in islice(_flat(config), MOST_SETTINGS)
        if name.split(".")[0] not in ELSEWHERE
    ]
    return [row for row in rows if row.origin != "default"], [row for row in rows if row.origin == "default"]


def _flat(config: Mapping[str, Any], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value and depth < DEEPEST:
            yield from _flat(value, f"{prefix}{key}.", depth + 1)
        else:
            yield f"{prefix}{key}", value


def _origin(name: str, set_by: Mapping[str, Any]) -> str:
    origin = set_by.get(name, set_by.get(name.split(".")[0], "default"))
    return origin if isinstance(origin, str) else "default"


def shown(value: Any) -> str:
    """A value as YAML users know it, cut short if it is enormous."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return value if len(value) <= 2000 else f"{value[:2000]} ... ({len(value)} characters)"
    brief = reprlib.Repr()
    brief.maxlist = brief.maxtuple = brief.maxdict = brief.maxset = 40
    brief.maxlevel, brief.maxstring, brief.maxother = 3, 200, 200
    return brief.repr(value)
