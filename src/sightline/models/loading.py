"""Load a vision-language model and its processor from a folder, a hub id, or one of the embedded ones."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel
from transformers.processing_utils import ProcessorMixin

from ..errors import UserError
from .processors import load_processor
from .scoring.lm_head import as_forward_scales
from .self_test import check_scores

log = logging.getLogger(__name__)

_EMBEDDED = Path(__file__).parent / "embedded"
EMBEDDED = {"embedded": _EMBEDDED / "checkpoint", "embedded-2": _EMBEDDED / "checkpoint_2"}
"""Words for the models that ship with the package, one for each embedded world."""
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, StrictDataclassError,
           SafetensorError)  # fmt: skip
"""Exceptions of loading damaged or foreign model files."""


@dataclass(frozen=True)
class LoadedModel:
    """A model with the processor that feeds it and the name it was asked for."""

    model: PreTrainedModel
    processor: ProcessorMixin
    name: str


def resolve(name: str) -> str:
    """The folder or hub id behind MODEL as users write it.

    Raises:
        UserError: `name` looks like a folder but is none, or is a folder without `config.json`.
    """
    if name in EMBEDDED:
        return str(EMBEDDED[name])
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"{name} holds no config.json, so it is not a saved model; expected a folder "
                            "written by save_pretrained, such as runs/demo/model")  # fmt: skip
        return str(folder)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(
            f"model folder {name} does not exist; give a folder, a hub id, or "
            f"{' or '.join(f'`{word}`' for word in EMBEDDED)}"
        )
    return name


def load_model(
    name: str,
    dtype: torch.dtype | str = "auto",
    *,
    trust_remote_code: bool = False,
    revision: str | None = None,
    **kwargs: Any,
) -> LoadedModel:
    """Load MODEL for inference or training, on the CPU, in evaluation mode.

    `dtype` "auto" keeps the saved one. Remote code runs only when `trust_remote_code` says so.

    Raises:
        UserError: nothing is found under that name, it is not a vision-language model, its files are
            damaged, or its weights are not those of its config: none is ever made up; or it cannot be
            scored rightly (`self_test.check_scores`).
    """
    path = resolve(name)
    hub: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if revision is not None and name not in EMBEDDED:
        hub["revision"] = revision
    try:
        config = AutoConfig.from_pretrained(path, **hub)
    except _DAMAGE as error:
        raise unloadable(name, error) from error
    if type(config) not in AutoModelForImageTextToText._model_mapping.keys() and not trust_remote_code:  # noqa: SIM118
        raise UserError(
            f"{name} is a {config.model_type} model, not a vision-language model that transformers "
            "knows; expected one that AutoModelForImageTextToText loads, such as Qwen2.5-VL"
        )
    processor = _processor(path, name, **hub)
    model = _with_weights(path, name, dtype=dtype, **hub, **kwargs).eval()
    for line in (_pan_and_scan(processor), as_forward_scales(model)):
        if line is not None:
            log.warning("%s: %s", name, line)
    check_scores(model, processor)
    return LoadedModel(model, processor, name)


def _pan_and_scan(processor: Any) -> str | None:
    """That Gemma 3's images are not cut as the processor's configuration says, where it says so."""
    if (
        not getattr(processor.image_processor, "do_pan_and_scan", None)
        or "Gemma3" not in type(processor).__name__
    ):
        return None
    return (
        "its processor's do_pan_and_scan is not applied, as transformers' Gemma3Processor puts its own false "
        "in its place; every image is seen whole, in training and evaluation alike"
    )


def _processor(path: str, name: str, **hub: Any) -> ProcessorMixin:
    """The processor with its chat template."""
    try:
        processor = load_processor(path, **hub)
    except UserError:
        raise
    except _DAMAGE as error:
        raise unloadable(name, error, "the processor of") from error
    if getattr(processor, "chat_template", None) is None:
        raise UserError(
            f"{name} has no chat template, so no prompt can be written for it; expected a "
            "chat_template.jinja beside its tokenizer, as instruction-tuned models have"
        )
    return processor


def _with_weights(path: str, name: str, **options: Any) -> PreTrainedModel:
    """The model with all of its weights from disk."""
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            path, use_safetensors=True, ignore_mismatched_sizes=True, output_loading_info=True, **options
        )
    except _DAMAGE as error:
        raise unloadable(name, error, "the weights of") from error
    model, found = loaded
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"the weights of {name!r} lack {len(missing)} of the model's tensors, such as {missing[0]}"
        )
    for key, saved, expected in sorted(found["mismatched_keys"])[:1]:
        raise UserError(f"the weights of {name!r} do not fit its config.json: {key} is {list(saved)}, "
                        f"expected {list(expected)}")  # fmt: skip
    return model


def unloadable(name: str, error: BaseException, what: str = "model") -> UserError:
    """Why MODEL cannot be loaded, and for a hub id what to set and how to use a copy."""
    said = f"cannot load {what} {name!r}: {_one_line(error)}"
    if name in EMBEDDED or Path(name).expanduser().is_dir():
        return UserError(said)
    return UserError(
        f"{said.rstrip('.')}. If it is private or gated, accept its terms and set HF_TOKEN; without a "
        f"network, fetch it elsewhere (hf download {name} --local-dir DIR) and give that folder instead"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
