"""Sightline: reinforcement learning for vision-language models that rewards looking.

    method("vgpo")                    a paper's credit assignment, as a frozen description
    Method.weights(scores, mask, ...) scores [B, T] -> weights [B, T] >= 0
    SIGNALS, VIEWS                    what scores a token; what taking the image away means
    group_advantages(rewards, ids)    rewards [B] -> advantages [B]
    grade(response, gold)             text -> verdict
    Rollouts                          the batch every stage reads, and the legend of shapes
    Trainer(model, task, method, ...)  one training run, with objects of your own; needs an engine

Models, training, evaluation and reports live in their rooms (`sightline.models`,
`sightline.engines`, ...) and are imported from there: this page needs torch alone, and not before a name is
asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .distribution import VERSION

if TYPE_CHECKING:
    from .errors import UserError
    from .methods import METHODS, Method, Needs, method
    from .objectives import OBJECTIVES, Objective, group_advantages
    from .rewards import Verdict, grade, grade_many
    from .rollouts import Rollouts
    from .signals import SIGNALS, Signal
    from .trainer import Trainer
    from .views import VIEWS, View, view

_ROOMS = {
    "errors": ("UserError",),
    "methods": ("METHODS", "Method", "Needs", "method"),
    "objectives": ("OBJECTIVES", "Objective", "group_advantages"),
    "rewards": ("Verdict", "grade", "grade_many"),
    "rollouts": ("Rollouts",),
    "signals": ("SIGNALS", "Signal"),
    "trainer": ("Trainer",),
    "views": ("VIEWS", "View", "view"),
}

__all__ = [
    "METHODS",
    "OBJECTIVES",
    "SIGNALS",
    "VIEWS",
    "Method",
    "Needs",
    "Objective",
    "Rollouts",
    "Signal",
    "Trainer",
    "UserError",
    "Verdict",
    "View",
    "grade",
    "grade_many",
    "group_advantages",
    "method",
    "view",
]

__version__ = VERSION


def __getattr__(name: str) -> Any:
    """Import a name or a room when it is first asked for: the command line answers before torch is there."""
    for room, names in _ROOMS.items():
        if name in names or name == room:
            module = import_module(f"{__name__}.{room}")
            return module if name == room else getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Everything that can be asked for."""
    return sorted({*globals(), *__all__, *_ROOMS})
