"""The reference model is the model that was loaded, not what its config's name now leads to."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class CopyOf:
    """Stands where TRL expects a model class: `from_pretrained` gives a copy of the policy.

    TRL would load `config._name_or_path` again, without the revision that was asked for, and would find
    something else, or nothing, where a folder has changed or moved.
    """

    def __init__(self, model: Any):
        self.model = model

    def from_pretrained(self, *_: Any, **__: Any) -> Any:
        """The copy, whatever name it is asked for; to be called before anything is trained or resumed."""
        return copy.deepcopy(self.model).requires_grad_(False).eval()


@contextmanager
def reference_is_copy(args: Any, model: Any) -> Iterator[None]:
    """While a trainer is made, have it take its reference model from `model`.

    ZeRO-3 splits weights as they are loaded, so there TRL loads them again; pass the revision in
    `model_init_kwargs`.
    """
    zero3 = getattr(args.deepspeed_plugin, "zero_stage", 0) == 3
    if args.beta == 0.0 or isinstance(model, str) or zero3:
        yield
        return
    given = args.model_init_kwargs
    args.model_init_kwargs = {**(given or {}), "architecture": CopyOf(model)}
    try:
        yield
    finally:
        args.model_init_kwargs = given
