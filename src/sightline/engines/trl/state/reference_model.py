"""A reference model that is a copy of the loaded policy, where TRL would load one again by name."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate.utils import load_fsdp_model, save_fsdp_model
from safetensors.torch import load_model, save_model

REFERENCE = "reference.safetensors"
"""In a checkpoint, the reference model where it follows the policy (`sync_ref_model`)."""
_INDEX = 1
"""The number of its shards among what accelerate saves; the policy's are number 0."""


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
    if args.beta == 0.0 or isinstance(model, str) or is_zero3(args):
        yield
        return
    given = args.model_init_kwargs
    args.model_init_kwargs = {**(given or {}), "architecture": CopyOf(model)}
    try:
        yield
    finally:
        args.model_init_kwargs = given


def is_zero3(args: Any) -> bool:
    """Whether DeepSpeed splits the weights themselves."""
    return getattr(args.deepspeed_plugin, "zero_stage", 0) == 3


def save_reference(folder: Path, model: Any, accelerator: Any) -> None:
    """Write a reference model that follows the policy; every rank has to call it."""
    plugin = _fsdp(accelerator)
    if plugin is not None:
        save_fsdp_model(plugin, accelerator, model, str(folder), model_index=_INDEX)
    elif accelerator.is_main_process:
        save_model(accelerator.unwrap_model(model), str(folder / REFERENCE))


def load_reference(folder: Path, model: Any, accelerator: Any) -> None:
    """Give `model` the weights that `save_reference` wrote; every rank has to call it."""
    plugin = _fsdp(accelerator)
    if plugin is not None:
        load_fsdp_model(plugin, accelerator, model, str(folder), model_index=_INDEX)
    else:
        load_model(accelerator.unwrap_model(model), folder / REFERENCE)


def _fsdp(accelerator: Any) -> Any:
    return getattr(accelerator.state, "fsdp_plugin", None)
