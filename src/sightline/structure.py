"""Whether plain data of a file has the structure that its readers count on, and if not, where it lacks it.

A structure is plain data too: a type or several for a value, a mapping for the fields that a mapping has to
have (it may have more), and `Each`, `Many`, `Maybe`, `Optional`, `Either` around others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any


@dataclass(frozen=True)
class Each:
    """A mapping with any names, whose values have one structure."""

    of: Any


@dataclass(frozen=True)
class Many:
    """A list whose items have one structure, `count` of them if that is given."""

    of: Any
    count: int | None = None


@dataclass(frozen=True)
class Maybe:
    """A value that may be null."""

    of: Any


@dataclass(frozen=True)
class Optional:
    """A field that may be missing, or null."""

    of: Any


@dataclass(frozen=True)
class Either:
    """A value of one structure or another."""

    one: Any
    other: Any


NUMBER = (int, float)
"""A finite number; no truth value."""
COUNT = (int,)
TEXT = (str,)
FLAG = (bool,)
ANY = object()
"""A value of any kind."""
_LARGEST = 1e100

_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}


def fault(value: Any, structure: Any, place: str = "") -> str | None:
    """The first thing that is not as `structure` wants it, such as `benchmarks.toy.views is missing`."""
    if structure is ANY:
        return None
    if isinstance(structure, Maybe | Optional):
        return None if value is None else fault(value, structure.of, place)
    if isinstance(structure, Either):
        found = fault(value, structure.one, place)
        return found and fault(value, structure.other, place)
    if isinstance(structure, Each):
        if not isinstance(value, Mapping):
            return f"{place or 'it'} is {_named(value)}, expected fields"
        return _first((inner, structure.of, f"{place}.{name}") for name, inner in value.items())
    if isinstance(structure, Many):
        if not isinstance(value, list):
            return f"{place or 'it'} is {_named(value)}, expected a list"
        if structure.count is not None and len(value) != structure.count:
            return f"{place} has {len(value)} items, expected {structure.count}"
        return _first((inner, structure.of, f"{place}[{n}]") for n, inner in enumerate(value))
    if isinstance(structure, Mapping):
        return _fields(value, structure, place)
    return None if _is(value, structure) else f"{place} is {_named(value)}, expected {_wanted(structure)}"


def _fields(value: Any, structure: Mapping[str, Any], place: str) -> str | None:
    if not isinstance(value, Mapping):
        return f"{place or 'it'} is {_named(value)}, expected fields"
    for name, inner in structure.items():
        where = f"{place}.{name}" if place else name
        if name not in value and not isinstance(inner, Optional):
            return f"{where} is missing"
        if found := fault(value.get(name), inner, where):
            return found
    return None


def _first(rows: Any) -> str | None:
    return next((found for value, inner, place in rows if (found := fault(value, inner, place))), None)


def _is(value: Any, types: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in types
    if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= _LARGEST):
        return False
    return isinstance(value, types)


def _named(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return _NAMES.get(type(value), type(value).__name__)


def _wanted(types: tuple[type, ...]) -> str:
    return "a number" if types == NUMBER else " or ".join(_NAMES.get(one, one.__name__) for one in types)
