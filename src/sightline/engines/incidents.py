"""What is stored of a step that was skipped, by every engine: `incidents/step-N/` in the run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..run_folder import RunFolder

MOST_INCIDENTS = 20
"""Batches that are stored; further ones are only counted."""


def incident_folder(run: Path, step: int) -> Path:
    """The folder of a skipped optimizer step."""
    return RunFolder(run).incidents / f"step-{step}"


def summary(
    step: int,
    not_finite: Sequence[str],
    *,
    losses: Sequence[float],
    norm: float,
    learning_rate: float,
    left_out: Sequence[str],
    responses: Sequence[str],
) -> dict[str, Any]:
    """`incident-R.json`, as the report reads it; `left_out` says why rows of the batch were left out."""
    return {
        "step": step,
        "not_finite": list(not_finite),
        "losses": [str(loss) for loss in losses],
        "gradient_norm": str(norm),
        "learning_rate": learning_rate,
        "scores": list(left_out),
        "responses": list(responses),
    }
