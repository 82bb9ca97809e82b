"""A method's inputs, checked once: shapes, dtypes, groups; a mistake is an error of one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UserError
from ..signals import signal
from ..value_checks import between

LARGEST_SCORE = torch.finfo(torch.float32).max
"""Scores are float32 numbers, whatever holds them: sums of them are then finite in float64."""
Scores = Tensor | Mapping[str, Tensor] | None
SLACK = 1e-2
"""How far a signal with two bounds may lie outside them by rounding (bf16 cosines) before it is an error."""


@dataclass(frozen=True)
class Batch:
    """One batch of scores, ready for shaping."""

    values: Mapping[str, Float[Tensor, "B T"]]
    """Each signal as it was measured, 0 where `seen` is 0; in float64 where the device has it."""
    scores: Mapping[str, Float[Tensor, "B T"]]
    """The same as scores ≥ 0."""
    mask: Bool[Tensor, "B T"]
    """The generated tokens."""
    seen: Bool[Tensor, "B T"]
    """The generated tokens of rows with an image: the only ones that any statistic reads."""
    group_ids: Int[Tensor, " B"]
    has_image: Bool[Tensor, " B"]
    advantages: Float[Tensor, " B"] | None = None
    progress: float = 1.0
    noisy: Bool[Tensor, " B"] | None = None


def checked(
    signals: Iterable[str],
    scores: Any,
    mask: Any,
    group_ids: Any,
    has_image: Any,
    *,
    advantages: Any = None,
    progress: Any = 1.0,
    noisy: Any = None,
) -> Batch:
    """The batch, or `UserError` naming what is wrong: shapes, lengths, dtypes, values out of range.

    Takes whatever a caller may hand over. Scores are looked at only on valid tokens of rows with an
    image; elsewhere they may be anything.
    """
    names = sorted(signals)
    given = {name: _tensor(name, values) for name, values in _by_name(names, scores).items()}
    valid = _mask(_tensor("mask", mask))
    valid = valid.to(next(iter(given.values())).device) if given else valid
    rows = len(valid)
    groups = _per_row("group_ids", group_ids, rows).to(valid.device)
    if groups.dtype.is_floating_point and rows:
        raise UserError(f"group_ids must be integers, got {groups.dtype}")
    everyone = torch.ones(rows, dtype=torch.bool)
    images = _flags("has_image", everyone if has_image is None else has_image, valid)
    seen = valid & images[:, None]
    values = {name: _values(name, given[name], seen) for name in names}
    positive = {name: signal(name).score(value) * seen for name, value in values.items()}
    return Batch(
        values,
        positive,
        valid,
        seen,
        groups.long(),
        images,
        _advantages(advantages, valid),
        between(0, 1)("progress", progress),
        None if noisy is None else _flags("noisy", noisy, valid),
    )


def _flags(name: str, given: Any, valid: Tensor) -> Tensor:
    """One 0 or 1 per row, as bool."""
    flags = _per_row(name, given, len(valid)).to(valid.device)
    _zero_or_one(name, flags)
    return flags.bool()


def _advantages(given: Any, valid: Tensor) -> Tensor | None:
    if given is None:
        return None
    values = _per_row("advantages", given, len(valid)).detach().to(valid.device, _precision(valid))
    wrong = (~values.isfinite() & valid.any(-1)).nonzero()
    if len(wrong):
        row = int(wrong[0])
        raise UserError(f"advantages must be finite, got {values[row].item()} at row {row}")
    return values


def _precision(tensor: Tensor) -> torch.dtype:
    """That of the statistics."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def _tensor(name: str, given: Any) -> Tensor:
    """`given` as a dense tensor of real numbers; lists and arrays are taken too."""
    tensor = given
    if not isinstance(given, Tensor):
        try:
            tensor = torch.tensor(given)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            what = f"{type(given).__name__} ({str(error).splitlines()[0]})"
            raise UserError(f"{name} must be a tensor, or numbers that make one, got {what}") from None
    if tensor.is_complex() or tensor.layout != torch.strided or tensor.is_meta:
        kind = f"{tensor.dtype} on {tensor.device}, {tensor.layout}"
        raise UserError(f"{name} must be a dense tensor of real numbers, got {kind}")
    return tensor


def _per_row(name: str, given: Any, rows: int) -> Tensor:
    tensor = _tensor(name, given)
    if tensor.shape != (rows,):
        raise UserError(f"{name} must have one entry per row [{rows}], got shape {list(tensor.shape)}")
    return tensor


def _zero_or_one(name: str, tensor: Tensor) -> None:
    wrong = ((tensor != 0) & (tensor != 1)).nonzero()
    if len(wrong):
        place = wrong[0].tolist()
        where = ", ".join(f"{axis} {index}" for axis, index in zip(("row", "token"), place, strict=False))
        raise UserError(f"{name} must be 0 or 1, got {tensor[tuple(place)].item()} at {where}")


def _by_name(names: list[str], scores: Any) -> dict[str, Any]:
    if not names:
        return {}
    if isinstance(scores, Mapping):
        keys = {name: _key(name, names, scores) for name in names}
        if missing := [name for name, key in keys.items() if key is None]:
            raise UserError(f"scores lack {', '.join(missing)}; got {', '.join(map(str, scores)) or 'none'}")
        return {name: scores[key] for name, key in keys.items()}
    if scores is None or len(names) > 1:
        got = "None" if scores is None else "one tensor"
        raise UserError(f"scores must hold a tensor for each of {', '.join(names)}, got {got}")
    return {names[0]: scores}


def _key(name: str, names: list[str], scores: Mapping[Any, Any]) -> str | None:
    """Under what a signal's scores are given: its name, or where no other signal answers to it the name
    without view and parameter, or that of the signal it stands for."""
    if name in scores:
        return name
    others = [_shorter(other) for other in names if other != name]
    return next((s for s in _shorter(name) if s in scores and not any(s in o for o in others)), None)


def _shorter(name: str) -> list[str]:
    bare = name.partition("/")[0]
    base = bare.partition("@")[0]
    return [short for short in (bare, base, signal(name).stands_for) if short is not None]


def _mask(mask: Tensor) -> Bool[Tensor, "B T"]:
    if mask.ndim != 2:
        raise UserError(f"mask must have shape [B, T], got {list(mask.shape)}")
    _zero_or_one("mask", mask)
    return mask.bool()


def _values(name: str, scores: Tensor, seen: Tensor) -> Float[Tensor, "B T"]:
    """One signal in the precision of the statistics, checked where it counts, 0 elsewhere."""
    if scores.shape != seen.shape:
        raise UserError(f"{name} must have the mask's shape {list(seen.shape)}, got {list(scores.shape)}")
    values = scores.detach().to(_precision(scores)).masked_fill(~seen, 0.0)
    row = signal(name)
    slack = SLACK if row.low < 0 else 0.0
    high = min(row.high, LARGEST_SCORE)
    good = (values >= row.low - slack) & (values <= high + slack)
    wrong = (~good).nonzero()
    if len(wrong):
        at, token = wrong[0].tolist()
        wanted = f"finite and in [{row.low:g}, {high:g}]"
        raise UserError(
            f"{name} must be {wanted}, got {values[at, token].item():g} at row {at}, token {token}"
            f" ({len(wrong)} such token{'s' if len(wrong) > 1 else ''})"
        )
    return values.clamp(row.low, high)


def checked_weights(rule: str, weights: Any, batch: Batch) -> Tensor:
    """What a shaping returned; `UserError` unless it is weights: [B, T], finite and ≥ 0 on tokens."""
    wanted = list(batch.mask.shape)
    if not isinstance(weights, Tensor) or list(weights.shape) != wanted:
        got = f"shape {list(weights.shape)}" if isinstance(weights, Tensor) else type(weights).__name__
        raise UserError(f"shaping {rule} must return weights of shape {wanted}, got {got}")
    wrong = (~((weights >= 0) & weights.isfinite()) & batch.seen).nonzero()
    if len(wrong):
        row, token = wrong[0].tolist()
        value = float(weights[row, token])
        raise UserError(
            f"shaping {rule} must return weights that are finite and ≥ 0, got {value:g} at row {row}, token "
            f"{token}"
        )
    return weights
