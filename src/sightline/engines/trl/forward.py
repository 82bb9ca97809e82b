"""Run any computation inside a model's one wrapped forward."""

from __future__ import annotations

import functools
import types
from typing import Any

from transformers import PreTrainedModel


def accept_inside(model: PreTrainedModel) -> None:
    """Give `model.forward` the keyword `inside`: `model(inside=f)` returns `f(model)`.

    Whatever wraps the model (DDP, FSDP2, ZeRO-3, autocast) then sees a single forward, with parameters
    gathered and buffers in sync while `f` runs backbone and head as often as it likes. Without the
    keyword the forward is what it was.
    """
    original = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: PreTrainedModel, *args: Any, inside: Any = None, **kwargs: Any) -> Any:
        return original(*args, **kwargs) if inside is None else inside(self)

    model.forward = types.MethodType(forward, model)
