"""Names of weights as vLLM and the hub's checkpoints have them, where transformers has shorter ones."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..plain_files import read_plain

INDEX = "model.safetensors.index.json"

_TOWERS = ("clip_vision_model", "siglip_vision_model", "siglip2_vision_model")
"""Vision towers whose weights stand below `vision_model.` in vLLM (0.22 to 0.31) and in the hub's own files,
and without it in transformers 5.17 and later."""
_TOWER, _BELOW = "vision_tower.", "vision_model."


def name_in_vllm(name: str, config: Any) -> str:
    """The name under which vLLM takes the weight `name` of a model with this config; most are the same."""
    if getattr(getattr(config, "vision_config", None), "model_type", None) not in _TOWERS:
        return name
    before, tower, after = name.partition(_TOWER)
    if not tower or before not in ("", "model.") or after.startswith(_BELOW):
        return name
    return f"{before}{tower}{_BELOW}{after}"


def names_for_vllm(model: Any, state: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
    """`state` (None: the model's own) to save so that vLLM loads it too; unchanged where it does anyway."""
    own = model.state_dict() if state is None else state
    renamed = {name_in_vllm(name, model.config): weight for name, weight in own.items()}
    return state if renamed.keys() == own.keys() else renamed


@contextmanager
def folder_for_vllm(path: str, config: Any) -> Iterator[str]:
    """`path` itself, or where vLLM does not know its names a copy of the folder with names that it knows.

    The copy is as large as the weights, lies where temporary files lie, and is gone after the block.
    """
    folder = Path(path)
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if all(name_in_vllm(name, config) == name for file in files for name in _names(file)):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="sightline-vllm-") as place:
        for file in folder.iterdir():
            copy = Path(place) / file.name
            if file in files:
                weights = {name_in_vllm(name, config): weight for name, weight in load_file(file).items()}
                save_file(weights, copy, metadata={"format": "pt"})
            elif file.name == INDEX:
                index = read_plain(file)
                index["weight_map"] = {name_in_vllm(k, config): v for k, v in index["weight_map"].items()}
                copy.write_text(json.dumps(index))
            else:
                copy.symlink_to(file.resolve())
        yield place


def _names(file: Path) -> list[str]:
    with safe_open(file, "pt") as opened:
        return list(opened.keys())
