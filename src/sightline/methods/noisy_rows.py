"""Which rollouts of a batch count as noisy, drawn for rules that read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..value_checks import between
from ..views import generator

LINEAR = "linear"


def noisy_choice(what: str, value: Any) -> str | float | None:
    """Check of an option: "linear", a probability in [0, 1], or None."""
    if isinstance(value, str) and value != LINEAR:
        raise UserError(f"{what} must be 'linear', a number in [0, 1] or None, got {value!r}")
    return value if value == LINEAR else between(0, 1, optional=True)(what, value)


def draw_noisy(
    choice: str | float,
    progress: float,
    sample_ids: Sequence[str],
    numbers: Sequence[int],
    *,
    seed: int,
    step: int,
) -> Tensor:
    """bool [B]: each rollout is noisy with probability `choice`, "linear": 1 − progress (DUPL Alg. 1).

    Drawn from (seed, step, sample id, the rollout's number), so that no rank and no order of rows changes it.
    """
    chance = max(0.0, 1 - progress) if isinstance(choice, str) else choice
    drawn = [
        generator(seed, step, f"noisy {name}", number).random() < chance
        for name, number in zip(sample_ids, numbers, strict=True)
    ]
    return torch.tensor(drawn, dtype=torch.bool)
