"""What a user may pass: checks of numbers, names and switches, with errors that name the range.

A check is a function `(what, value) -> value`; it raises `UserError` and never reads a number out of text.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from .errors import UserError, unknown_name

Check = Callable[[str, Any], Any]

LARGEST = 1e6
"""The largest factor on a weight that an option may ask for: more is a slip, and float32 would overflow."""


def between(
    low: float, high: float = math.inf, *, above: bool = False, whole: bool = False, optional: bool = False
) -> Check:
    """A finite number in [low, high] (`above`: in (low, high]); `whole`: an integer; `optional`: or None."""
    kind = "an integer" if whole else "a number"
    left = f"{'(' if above else '['}{low:g}" if math.isfinite(low) else "(−∞"
    right = f"{high:g}]" if math.isfinite(high) else "∞)"
    wanted = f"{kind} in {left}, {right}{' or None' if optional else ''}"

    def check(what: str, value: Any) -> Any:
        if value is None and optional:
            return None
        if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
            hint = (
                " (YAML reads 1e-6 as text: write 1.0e-6)"
                if isinstance(value, str) and value[:1].isdigit()
                else ""
            )
            raise UserError(f"{what} must be {wanted}, got {value!r}{hint}")
        number = _as_float(value)
        if not (math.isfinite(number) and low <= number <= high) or (above and number == low):
            raise UserError(f"{what} must be {wanted}, got {value if math.isfinite(number) else number}")
        return operator.index(value) if whole else number  # pyright: ignore[reportArgumentType]

    return check


def _as_float(value: Any) -> float:
    """The number as a float, infinite where no float is so large."""
    try:
        return float(value) + 0.0  # so that −0 is 0
    except OverflowError:
        return math.inf


def one_of(*names: str) -> Check:
    """One of the given names."""

    def check(what: str, value: Any) -> str:
        if value not in names:
            raise unknown_name(what, str(value), names)
        return value

    return check


def switch(what: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise UserError(f"{what} must be True or False, got {value!r}")
    return value


def settle(thing: Any, owner: str, checks: Mapping[str, Check]) -> None:
    """Each named field of a frozen dataclass checked, and kept as its check returns it."""
    for name, check in checks.items():
        object.__setattr__(thing, name, check(f"{owner}{name}", getattr(thing, name)))


def check_options(owner: str, given: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    """`given` checked name by name; every option of `checks` has to be there, and no other."""
    known_names(f"option of {owner}", given, checks)
    if missing := [name for name in checks if name not in given]:
        raise UserError(f"{owner} needs {', '.join(missing)}; got {', '.join(given) or 'no options'}")
    return {name: checks[name](f"{owner}: {name}", value) for name, value in given.items()}


def known_names(kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise for the first name that is not known, with the nearest valid ones."""
    known = list(known)
    for name in given:
        if name not in known:
            raise unknown_name(kind, str(name), known)


def named(kind: str, value: Any) -> tuple[str, dict[str, Any]]:
    """The name and the options of plain data: `"patches"` or `{"name": "patches", "size": 14}`."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return value["name"], {key: option for key, option in value.items() if key != "name"}
    raise UserError(f"a {kind} is a name or a mapping with `name` and its options, got {value!r}")
