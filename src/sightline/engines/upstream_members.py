"""What an engine relies on inside its library, written down so that a release that changes it is named.

Libraries keep the names of their methods and change what is in them. Every member that is overridden or
called is a `Member` with the parameters and the piece of source that our code takes for granted.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Member:
    """One thing we rely on."""

    path: str
    """`module:qualified.name`"""
    parameters: tuple[str, ...]
    """Names that the signature has, in this order (self left out; others may follow)."""
    markers: tuple[str, ...]
    """Pieces of its source, white space aside."""
    why: str
    """What we take for granted."""


@functools.lru_cache(maxsize=4)
def broken_members(members: tuple[Member, ...]) -> tuple[str, ...]:
    """What differs from what an engine relies on, one text a member; empty if nothing does."""
    return tuple(problem for problem in map(problem_of, members) if problem)


def problem_of(member: Member) -> str | None:
    """What differs from what we rely on, in words; None if nothing does."""
    name = member.path.partition(":")[2]
    found = _find(member.path)
    if found is None:
        return f"{name} is gone ({member.why})"
    parameters = [parameter for parameter in inspect.signature(found).parameters if parameter != "self"]
    places = [parameters.index(one) if one in parameters else -1 for one in member.parameters]
    if -1 in places or places != sorted(places):
        return f"{name} takes {', '.join(parameters) or 'nothing'} ({member.why})"
    source = _squeezed(inspect.getsource(found)) if member.markers else ""
    for marker in member.markers:
        if _squeezed(marker) not in source:
            return f"{name} no longer says `{marker}` ({member.why})"
    return None


def _find(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return inspect.unwrap(found)


def _squeezed(source: str) -> str:
    return re.sub(r"\s+|,(?=\s*[)\]}])", "", source)
