"""Every published method as a frozen description, and how to write one of your own.

method("vgpo").weights(scores, mask, group_ids)          weights [B, T] >= 0
method("pgpo", signal="visual_focus")                    another signal under the same gate
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

from ..value_checks import known_names, one_of
from .cfpo import cfpo
from .custom import custom
from .dupl import dupl
from .dvrp import dvrp
from .grpo import dapo, dr_grpo, grpo, gspo
from .method import MIN_RANGE, Method
from .needs import Needs
from .noised_rollouts import NoisedRollouts, noised_rollouts
from .noisy_rows import draw_noisy
from .noisyrollout import noisyrollout
from .papo import papo
from .pepo import pepo
from .pgpo import pgpo
from .plugins import TABLES, absolute_plugins, load_installed, load_plugins, plugin_names
from .statistics import statistics
from .tor import tor
from .vepo import vepo
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
    "noisyrollout": noisyrollout,
    "pepo": pepo,
    "vepo": vepo,
    "tor": tor,
    "dupl": dupl,
    "dvrp": dvrp,
    "cfpo": cfpo,
    "custom": custom,
}


TABLES["method"] = METHODS


def method(name: str, **options: Any) -> Method:
    """The method of that name with its paper's defaults, changed by `options` (plain data is enough).

    `METHODS[name]` documents the options. Every method takes `rollouts` beside them, which of its rollouts
    are sampled from a noised image, as {"view": "diffusion", "share": 0.5} (`NoisedRollouts`). Raises
    `UserError` for an unknown name or option, with the nearest valid ones, and for a value out of range,
    with the range.
    """
    load_installed()
    known_names("method", [name], METHODS)
    signature = inspect.signature(METHODS[name])
    if "variant" not in signature.parameters:
        one_of("paper")(f"variant of {name}", options.pop("variant", "paper"))
    rollouts = None if "rollouts" in signature.parameters else options.pop("rollouts", None)
    known_names(f"option of {name}", options, [*signature.parameters, "rollouts"])
    bound = signature.bind(**options)
    bound.apply_defaults()
    built = METHODS[name](**options)
    if rollouts is not None:
        built = replace(built, rollouts=noised_rollouts(rollouts))
    resolved = {option: getattr(built, option, value) for option, value in bound.arguments.items()}
    if built.rollouts is not None:
        resolved["rollouts"] = built.rollouts
    plain = {option: _plain(value) for option, value in {**resolved, **built.options}.items()}
    return replace(built, options=plain)


def _plain(value: Any) -> Any:
    """Plain data of an option: views, objectives and steps as mappings, numbers as Python's own."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Real) and not isinstance(value, bool):
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value.plain() if hasattr(value, "plain") else value


__all__ = [
    "METHODS",
    "MIN_RANGE",
    "Method",
    "Needs",
    "NoisedRollouts",
    "absolute_plugins",
    "draw_noisy",
    "load_plugins",
    "method",
    "noised_rollouts",
    "plugin_names",
    "statistics",
]
