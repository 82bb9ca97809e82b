"""The training forward with each image encoded once, however many rows of a micro-batch show it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.utils import logging
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

VISION = (
    "pixel_values", "image_grid_thw", "pixel_attention_mask", "image_sizes", "image_position_ids",
    "spatial_shapes",
)  # fmt: skip
"""What a forward is given of its images."""
_FOR_POSITIONS = ("image_grid_thw",)

_log = logging.get_logger(__name__)


def with_shared_images(model: Any, inputs: dict[str, Any], batch: Mapping[str, Any]) -> dict[str, Any]:
    """`inputs` of a forward with the features of its images in place of its pixels.

    An image that several rows show goes through the vision tower once; the gradients of its copies add
    up there, as they would have in its weights. `batch` is the micro-batch as TRL holds it, which says
    how many images (and tiles) each row has. `inputs` is returned unchanged where no two rows show the
    same, or where the family's forward takes no features.
    """
    if "pixel_values" not in inputs or batch.get("num_images") is None:
        return inputs
    takes = inspect.signature(model.base_model.forward).parameters
    if "mm_encoder_outputs" not in takes:
        _log.warning_once(f"{type(model).__name__} takes no image features: images are encoded once a row.")
        return inputs
    vision = {name: inputs[name] for name in VISION if inputs.get(name) is not None}
    counts = {name: batch[name] for name in ("num_images", "num_tiles") if batch.get(name) is not None}
    by_row, of_rows = vision_by_row(vision, counts), _of_rows(vision)
    alike, pixels = rows_alike([by_row[name] for name in vision]), by_row["pixel_values"]
    owners = [owner if pixels[row].numel() else row for row, owner in enumerate(alike)]
    first = sorted(set(owners))
    if len(first) == len(owners):
        return inputs
    units = [1] * len(owners) if of_rows else counts.get("num_tiles", counts["num_images"])
    chosen = {name: _rows(by_row[name], first) for name in vision}
    distinct: Any = unsplit_pixel_values_by_grid(chosen)

    def encode() -> Any:
        features, own = _encoded(model, distinct), [units[row] for row in first]
        if sum(own) == len(features.pooler_output):
            return _spread(features, [first.index(owner) for owner in owners], own)
        _log.warning_once(f"The features of {type(model).__name__} do not tell rows apart: no sharing.")
        return _encoded(model, vision)

    rest = {name: value for name, value in inputs.items() if name not in VISION or name in _FOR_POSITIONS}
    return {**rest, "mm_encoder_outputs": _LazyFeatures(encode)}


class _LazyFeatures(dict[str, Any]):
    """A forward's `mm_encoder_outputs`, encoded when it asks for them.

    That is after it has embedded the tokens, as with pixels: where parameters are sharded, a rank that shares
    images has to call its modules in the order of one that does not.
    """

    def __init__(self, encode: Callable[[], Any]):
        super().__init__()
        self._encode = encode

    def get(self, name: str, default: Any = None, /) -> Any:
        if name == "image" and name not in self:
            self[name] = self._encode()
        return super().get(name, default)


def _encoded(model: Any, vision: Mapping[str, Any]) -> Any:
    encode = model.base_model.get_image_features
    taken = inspect.signature(encode).parameters
    return encode(**{name: value for name, value in vision.items() if name in taken}, return_dict=True)


def _rows(values: Any, rows: Sequence[int]) -> Any:
    return values[list(rows)] if isinstance(values, Tensor) else [values[row] for row in rows]


def _of_rows(vision: Mapping[str, Any]) -> bool:
    """Whether pixels are padded to one entry a row, as Idefics3's are."""
    return vision["pixel_values"].dim() == 5 and "image_sizes" not in vision


def vision_by_row(vision: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """Vision inputs with one entry for each row, whose numbers of images and tiles `counts` holds."""
    return dict(vision) if _of_rows(vision) else split_pixel_values_by_grid({**vision, **counts})


def rows_alike(columns: Sequence[Any]) -> list[int]:
    """For each row the first one that is the same in every column; empty tensors are the same too."""
    sums = [torch.stack([row.sum(dtype=torch.float64) for row in column]).tolist() for column in columns]
    alike: dict[Any, list[int]] = {}
    owners = []
    for row in range(len(columns[0])):
        key = tuple((total[row], column[row].shape) for total, column in zip(sums, columns, strict=True))
        seen = alike.setdefault(key, [])
        equal = (other for other in seen if all(torch.equal(one[other], one[row]) for one in columns))
        owner = next(equal, row)
        if owner == row:
            seen.append(row)
        owners.append(owner)
    return owners


def _spread(features: Any, places: Sequence[int], own: Sequence[int]) -> Any:
    """The features of distinct rows, repeated for the rows that show them.

    They come as one item for each image, tile or row; `own` says how many a distinct row has.
    """
    ends = torch.tensor(own).cumsum(0).tolist()
    index = [unit for place in places for unit in range(ends[place] - own[place], ends[place])]

    def repeated(values: Any) -> Any:
        if isinstance(values, Tensor):
            return values[torch.tensor(index, device=values.device)]
        return tuple(values[unit] for unit in index)

    changed = {"pooler_output": repeated(features.pooler_output)}
    if getattr(features, "deepstack_features", None) is not None:
        changed["deepstack_features"] = [repeated(level) for level in features.deepstack_features]
    return type(features)(**{**features, **changed})
