"""Runs any computation inside the one forward that DDP, FSDP2, ZeRO-3 or autocast wraps."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

Forward = Callable[..., Any]


def accept_inside(model: Any) -> Forward:
    """Give `model.forward` the keyword `inside`, and return the forward it had before.

    `model(inside=f)` returns `f(model)`. Whatever wraps the model (DDP, FSDP2, ZeRO-3, autocast) then
    sees a single forward, with parameters gathered and buffers in sync while `f` runs backbone, head
    or the model itself as often as it likes. Without the keyword nothing changes.

    While `f` runs, `model.forward` is the forward it had before: accelerate wraps it in one autocast
    object, which, entered again before it was left, takes "on" for the state to go back to and leaves
    autocast on for the rest of the process.
    """
    original: Forward = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, inside: Callable[[Any], Any] | None = None, **kwargs: Any) -> Any:
        if inside is None:
            return original(*args, **kwargs)
        wrapped, self.forward = self.forward, original
        try:
            return inside(self)
        finally:
            self.forward = wrapped

    model.forward = types.MethodType(forward, model)
    return original
