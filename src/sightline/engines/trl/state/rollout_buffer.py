"""The micro-batches of a rollout batch in a checkpoint or an incident, as safetensors and JSON.

A rollout batch feeds several optimizer steps. A checkpoint between them keeps its micro-batches, so that
training continues as if it had not stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from ....plain_files import read_plain

Batches = Sequence[Mapping[str, Any]]


def pack(batches: Batches) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Micro-batches as tensors by name, and a layout in plain data that says where each belongs.

    Equal tensors are kept once: the rollouts of a prompt share their pixels.
    """
    tensors: dict[str, Tensor] = {}

    def place(tensor: Tensor) -> dict[str, str]:
        plain = tensor.detach().cpu().contiguous()
        name = _fingerprint(plain)
        if name not in tensors:
            tensors[name] = plain.clone()
        return {"tensor": name}

    def described(value: Any) -> Any:
        if isinstance(value, Tensor):
            return place(value)
        if isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
            return {"tensors": [place(item)["tensor"] for item in value]}
        return {"value": value}

    split = [split_pixel_values_by_grid(dict(batch)) for batch in batches]
    return tensors, [{name: described(value) for name, value in batch.items()} for batch in split]


def unpack(
    tensors: Mapping[str, Tensor], layout: Sequence[Mapping[str, Any]], device: torch.device | str = "cpu"
) -> list[dict[str, Any]]:
    """The micro-batches that `pack` took apart, on `device`."""

    def restored(entry: Mapping[str, Any]) -> Any:
        if "tensor" in entry:
            return tensors[entry["tensor"]].to(device)
        if "tensors" in entry:
            return [tensors[name].to(device) for name in entry["tensors"]]
        return entry["value"]

    batches = [{name: restored(entry) for name, entry in batch.items()} for batch in layout]
    return [unsplit_pixel_values_by_grid(batch) for batch in batches]


def save(folder: Path, rank: int, batches: Batches) -> None:
    """Write the micro-batches of one rank."""
    tensors, layout = pack(batches)
    tensor_file, layout_file = _files(folder, rank)
    save_file(tensors, tensor_file)
    layout_file.write_text(json.dumps(layout), encoding="utf-8")


def load(folder: Path, rank: int, device: torch.device | str) -> list[dict[str, Any]]:
    """Read the micro-batches of one rank.

    Raises:
        FileNotFoundError: this rank saved none, so there were fewer ranks.
    """
    tensor_file, layout_file = _files(folder, rank)
    layout = read_plain(layout_file)
    return unpack(load_file(tensor_file), layout, device)


def _files(folder: Path, rank: int) -> tuple[Path, Path]:
    return folder / f"rollouts-{rank}.safetensors", folder / f"rollouts-{rank}.json"


def _fingerprint(tensor: Tensor) -> str:
    """A name that equal tensors share: type, shape and a hash of the bytes."""
    content = tensor.reshape(-1).view(torch.uint8) if tensor.numel() else torch.empty(0, dtype=torch.uint8)
    digest = hashlib.sha256(content.numpy().data).hexdigest()
    return f"{str(tensor.dtype).removeprefix('torch.')}-{'x'.join(map(str, tensor.shape))}-{digest[:32]}"
