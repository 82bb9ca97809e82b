"""Load a vision-language model and its processor from a folder, a hub id, or one of the embedded ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel
from transformers.processing_utils import ProcessorMixin

from ..errors import UserError
from .processors import load_processor

_EMBEDDED = Path(__file__).parent / "embedded"
EMBEDDED = {"embedded": _EMBEDDED / "checkpoint", "embedded-2": _EMBEDDED / "checkpoint_2"}
"""Words for the models that ship with the package, one for each embedded world."""


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
        UserError: nothing is found under that name, or it is not a vision-language model.
    """
    path = resolve(name)
    hub: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if revision is not None and name not in EMBEDDED:
        hub["revision"] = revision
    try:
        config = AutoConfig.from_pretrained(path, **hub)
    except (OSError, ValueError, KeyError, StrictDataclassError) as error:
        raise unloadable(name, error) from error
    if type(config) not in AutoModelForImageTextToText._model_mapping.keys() and not trust_remote_code:  # noqa: SIM118
        raise UserError(
            f"{name} is a {config.model_type} model, not a vision-language model that transformers "
            "knows; expected one that AutoModelForImageTextToText loads, such as Qwen2.5-VL"
        )
    processor = load_processor(path, **hub)
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            path, dtype=dtype, use_safetensors=True, **hub, **kwargs
        )
    except OSError as error:
        raise unloadable(name, error, "the weights of") from error
    return LoadedModel(model.eval(), processor, name)


def unloadable(name: str, error: BaseException, what: str = "model") -> UserError:
    """Why MODEL cannot be loaded, and for a hub id what to set and how to use a copy."""
    said = f"cannot load {what} {name!r}: {_first_line(error)}"
    if name == EMBEDDED or Path(name).expanduser().is_dir():
        return UserError(said)
    return UserError(
        f"{said.rstrip('.')}. If it is private or gated, accept its terms and set HF_TOKEN; without a "
        f"network, fetch it elsewhere (hf download {name} --local-dir DIR) and give that folder instead"
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
