"""Every published method as a frozen description, and how to write one of your own.

method("vgpo").weights(scores, mask, group_ids)          weights [B, T] >= 0
method("pgpo", signal="visual_focus")                    another signal under the same gate
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

from ..value_checks import known_names, one_of
from .custom import custom
from .grpo import dapo, dr_grpo, grpo, gspo
from .method import MIN_RANGE, Method, Needs
from .papo import papo
from .pgpo import pgpo
from .statistics import statistics
from .vgpo import vgpo
from .vppo import vppo

METHODS: dict[str, Callable[..., Method]] = {
    "grpo": grpo,
    "dapo": dapo,
    "gspo": gspo,
    "dr_grpo": dr_grpo,
    "papo": papo,
    "vppo": vppo,
    "pgpo": pgpo,
    "vgpo": vgpo,
    "custom": custom,
}


def method(name: str, **options: Any) -> Method:
    """The method of that name with its paper's defaults, changed by `options` (plain data is enough).

    `METHODS[name]` documents the options. Raises `UserError` for an unknown name or option, with the
    nearest valid ones, and for a value out of range, with the range.
    """
    known_names("method", [name], METHODS)
    signature = inspect.signature(METHODS[name])
    if "variant" not in signature.parameters:
        one_of("paper")(f"variant of {name}", options.pop("variant", "paper"))
    known_names(f"option of {name}", options, signature.parameters)
    bound = signature.bind(**options)
    bound.apply_defaults()
    built = METHODS[name](**options)
    resolved = {option: getattr(built, option, value) for option, value in bound.arguments.items()}
    plain = {option: _plain(value) for option, value in {**resolved, **built.options}.items()}
    return replace(built, options=plain)


def _plain(value: Any) -> Any:
    """Plain data of an option: views, objectives and steps as mappings, numbers as Python's own."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Real) and not isinstance(value, bool):
        return int(value) if isinstance(value, Integral) else float(value)
    return value.plain() if hasattr(value, "plain") else value


__all__ = ["METHODS", "MIN_RANGE", "Method", "Needs", "method", "statistics"]
