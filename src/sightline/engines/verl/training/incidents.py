"""The rollout batch of a skipped step, stored for whoever looks into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import transfer_queue as tq  # pyright: ignore[reportMissingImports]
from safetensors.torch import save_file
from torch import Tensor

from ....run_folder import write_json
from ...incidents import incident_folder, summary
from .rows import SCORE

_FIELDS = ("prompts", "responses", "response_mask", "old_log_probs", "rm_scores", "advantages")


def store_batch(
    run: Path,
    step: int,
    batch: Any,
    row: Mapping[str, float],
    *,
    signals: Sequence[str],
    left_out: Sequence[str],
    tokenizer: Any,
) -> Path:
    """Write `batch-0.safetensors` (padded on the right) and `incident-0.json`; returns their folder.

    Images are not in it: their rows are named, `row` is the step's metrics.
    """
    names = [*_FIELDS, *(SCORE + name for name in signals)]
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=[*names, "uid"])
    tensors: dict[str, Tensor] = {
        name: data[name].to_padded_tensor(0).contiguous()
        for name in names
        if name in data.keys()  # noqa: SIM118
    }
    folder = incident_folder(run, step)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "batch-0.safetensors")
    texts = [tokenizer.decode(ids.tolist()) for ids in data["responses"].unbind()]
    norm, loss = row.get("grad_norm", float("nan")), row.get("loss", float("nan"))
    told = summary(
        step,
        ["gradient"],
        losses=[loss],
        norm=norm,
        learning_rate=row.get("learning_rate", 0.0),
        left_out=left_out,
        responses=texts,
    )
    write_json(folder / "incident-0.json", told | {"rows": list(batch.keys)})
    return folder
