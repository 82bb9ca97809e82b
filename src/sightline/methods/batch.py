"""What a method is handed, checked once: every mistake of the caller ends here with one clear line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UserError
from ..signals import SIGNALS

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


def checked(
    signals: Iterable[str],
    scores: Scores,
    mask: Tensor,
    group_ids: Tensor | Sequence[int],
    has_image: Tensor | Sequence[bool] | None,
) -> Batch:
    """The batch, or `UserError` naming what is wrong: shapes, lengths, dtypes, values out of range.

    Scores are looked at only on valid tokens of rows with an image; elsewhere they may be anything.
    """
    names = sorted(signals)
    given = _by_name(names, scores)
    device = next(iter(given.values())).device if given else mask.device
    valid = _mask(mask).to(device)
    rows = len(valid)
    groups = torch.as_tensor(group_ids, device=device)
    if groups.dtype.is_floating_point and rows:
        raise UserError(f"group_ids must be integers, got {groups.dtype}")
    images = torch.as_tensor([True] * rows if has_image is None else has_image, device=device)
    for name, per_row in (("group_ids", groups), ("has_image", images)):
        if per_row.shape != (rows,):
            raise UserError(f"{name} must have one entry per row [{rows}], got shape {list(per_row.shape)}")
    images = images.bool()
    seen = valid & images[:, None]
    values = {name: _values(name, given[name], seen) for name in names}
    positive = {name: SIGNALS[name].score(value) * seen for name, value in values.items()}
    return Batch(values, positive, valid, seen, groups.long(), images)


def _by_name(names: list[str], scores: Scores) -> dict[str, Tensor]:
    if not names:
        return {}
    if isinstance(scores, Mapping):
        if missing := [name for name in names if name not in scores]:
            raise UserError(f"scores lack {', '.join(missing)}; got {', '.join(scores) or 'none'}")
        return {name: scores[name] for name in names}
    if scores is None or len(names) > 1:
        got = "None" if scores is None else "one tensor"
        raise UserError(f"scores must hold a tensor for each of {', '.join(names)}, got {got}")
    return {names[0]: scores}


def _mask(mask: Tensor) -> Bool[Tensor, "B T"]:
    if mask.ndim != 2:
        raise UserError(f"mask must have shape [B, T], got {list(mask.shape)}")
    wrong = ((mask != 0) & (mask != 1)).nonzero()
    if len(wrong):
        row, token = wrong[0].tolist()
        raise UserError(f"mask must be 0 or 1, got {mask[row, token].item()} at row {row}, token {token}")
    return mask.bool()


def _values(name: str, scores: Tensor, seen: Tensor) -> Float[Tensor, "B T"]:
    """One signal in the precision of the statistics, checked where it counts, 0 elsewhere."""
    if scores.shape != seen.shape:
        raise UserError(f"{name} must have the mask's shape {list(seen.shape)}, got {list(scores.shape)}")
    precision = torch.float32 if scores.device.type == "mps" else torch.float64
    values = scores.detach().to(precision).masked_fill(~seen, 0.0)
    signal = SIGNALS[name]
    slack = SLACK if signal.low < 0 else 0.0
    good = values.isfinite() & (values >= signal.low - slack) & (values <= signal.high + slack)
    wrong = (~good).nonzero()
    if len(wrong):
        row, token = wrong[0].tolist()
        wanted = f"finite and in [{signal.low:g}, {signal.high:g}]".replace("inf]", "∞)")
        raise UserError(
            f"{name} must be {wanted}, got {values[row, token].item():g} at row {row}, token {token}"
            f" ({len(wrong)} such token{'s' if len(wrong) > 1 else ''})"
        )
    return values.clamp(signal.low, signal.high)
