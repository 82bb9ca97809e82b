"""A method of one's own, from plain data: `method("custom", ...)`, or `name: custom` in YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UserError
from ..objectives import objective as make_objective
from ..objectives import term
from ..shaping import Step, adjustment, shaping
from ..signals import signal as find_signal
from ..value_checks import named, switch
from ..views import view as make_view
from .method import MIN_RANGE, Method, view_for


def custom(
    *,
    signal: str | None = None,
    view: Any = None,
    views: Mapping[str, Any] | None = None,
    adjustments: Sequence[Any] = (),
    shapings: Sequence[Any] = (),
    terms: Sequence[Any] = (),
    second_grad: bool = False,
    layer: int = -1,
    noisy: str | float | None = None,
    objective: Any = "dapo",
    min_range: float = MIN_RANGE,
) -> Method:
    """The product of `shapings`, each `{name, options}` and reading `signal` unless it names its own.

    Options of shapings and adjustments have no defaults: a composition states them.

    Args:
        signal: what scores a token, for shapings that name no signal of their own.
        view: the second view, a name or `{name, options}`; None: patches where a signal compares views.
        views: several second views by name, `{masked: ..., noised: ...}`, in place of `view`; a shaping's
            signal and a term name theirs, as `signal: exact_kl/noised` and `view: masked`.
        adjustments: rules of `ADJUSTMENTS`, which change the scores first, in order.
        shapings: rules of `SHAPINGS`, whose product is the weight.
        terms: extra loss terms, `{name, coefficient, view}` with names of `TERMS`.
        second_grad: True differentiates the second view's log-probs, which terms read.
        layer: which hidden states `visual_focus` compares, from 0, the embeddings; −1 is the last, after the
            norm. In [-1000, 1000].
        noisy: the probability with which a rollout counts as noisy, for rules that read it; "linear": 1 −
            progress, or a number; in [0, 1].
        objective: a name ("dapo", "grpo", "gspo", "dr_grpo") or a mapping of settings over one of them.
        min_range: a range of scores up to this is constant; in [0, 1e+06], in the unit of the scores.
    """
    switch("custom: second_grad", second_grad)
    if signal is not None:
        find_signal(signal)
    steps = tuple(_shaping(description, signal) for description in _listed("shapings", shapings))
    extra = tuple(term(description) for description in _listed("terms", terms))
    named_views = {name: make_view(given) for name, given in _views(views).items()}
    default = view if view is not None or not extra or named_views else "patches"
    return Method(
        name="custom",
        objective=make_objective(objective),
        options={"second_grad": second_grad},
        view=None if named_views and view is None else view_for(steps, default, "patches"),
        views=named_views,
        noisy=noisy,
        adjustments=tuple(_adjustment(description) for description in _listed("adjustments", adjustments)),
        shapings=steps,
        terms=extra,
        second_view_gradient=second_grad,
        min_range=min_range,
        layer=layer,
    )


def _views(value: Any) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise UserError(f"custom: views must be a mapping of names to views, got {value!r}")
    return value or {}


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
