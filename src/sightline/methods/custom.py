"""A method of one's own, from plain data: `method("custom", ...)`, or `name: custom` in YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import UserError
from ..objectives import objective as make_objective
from ..objectives import term
from ..shaping import Step, adjustment, shaping
from ..signals import SIGNALS
from ..value_checks import known_names, named, switch
from .method import MIN_RANGE, Method, view_for


def custom(
    *,
    signal: str | None = None,
    view: Any = None,
    adjustments: Sequence[Any] = (),
    shapings: Sequence[Any] = (),
    terms: Sequence[Any] = (),
    second_grad: bool = False,
    layer: int = -1,
    objective: Any = "dapo",
    min_range: float = MIN_RANGE,
) -> Method:
    """The product of `shapings`, each `{name, options}` and reading `signal` unless it names its own.

    Options of shapings and adjustments have no defaults: a composition states them.

    Args:
        signal: what scores a token, for shapings that name no signal of their own.
        view: the second view, a name or `{name, options}`; None: patches where a signal compares views.
        adjustments: rules of `ADJUSTMENTS`, which change the scores first, in order.
        shapings: rules of `SHAPINGS`, whose product is the weight.
        terms: extra loss terms, `{name, coefficient}` with names of `TERMS`.
        second_grad: True differentiates the second view's log-probs, which terms read.
        layer: which hidden states `visual_focus` compares, from 0, the embeddings; −1 is the last, after the
            norm. In [-1000, 1000].
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        min_range: a range of scores up to this is constant; in [0, 1e+06], in the unit of the scores.
    """
    switch("custom: second_grad", second_grad)
    if signal is not None:
        known_names("signal", [signal], SIGNALS)
    steps = tuple(_shaping(description, signal) for description in _listed("shapings", shapings))
    extra = tuple(term(description) for description in _listed("terms", terms))
    default = view if view is not None or not extra else "patches"
    return Method(
        name="custom",
        objective=make_objective(objective),
        options={"second_grad": second_grad},
        view=view_for(steps, default, "patches"),
        adjustments=tuple(_adjustment(description) for description in _listed("adjustments", adjustments)),
        shapings=steps,
        terms=extra,
        second_view_gradient=second_grad,
        min_range=min_range,
        layer=layer,
    )


def _listed(option: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise UserError(f"custom: {option} must be a list, got {value!r}")
    return value


def _shaping(description: Any, signal: str | None) -> Step:
    if isinstance(description, Step):
        return description
    name, options = named("shaping", description)
    own = options.pop("signal", signal)
    if own is None:
        raise UserError(f"custom: say which signal {name} reads, as signal='exact_kl'")
    return shaping(name, own, **options)


def _adjustment(description: Any) -> Step:
    if isinstance(description, Step):
        return description
    name, options = named("adjustment", description)
    return adjustment(name, **options)
