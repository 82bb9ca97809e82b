"""Skips optimizer steps with a non-finite loss or gradient, stores their batches and counts them."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor

from ....models.generation.decoder import OverflownError
from ....run_folder import write_json
from ...checkpoints import StoppedError
from ...incidents import MOST_INCIDENTS, incident_folder, summary
from ...metric_names import SKIPPED_STEPS
from ..state import rollout_buffer


class NanGuard:
    """Sees every micro-batch and its loss, and the gradient norm before the optimizer steps."""

    def __init__(self, trainer: Any):
        self.trainer = trainer
        self.left_out: Sequence[str] = ()
        """One line per row that was left out of the current rollout batch, for the incident's file."""
        self._micro_batches: list[tuple[Mapping[str, Any], Tensor]] = []
        self._skipped = {"in_a_row": 0, "in_all": 0}
        self._since_log: list[bool] = []

    @contextlib.contextmanager
    def sampling(self) -> Iterator[None]:
        """Around sampling.

        Raises:
            StoppedError: the policy's probabilities are not finite.
        """
        try:
            yield
        except RuntimeError as error:
            if "probability tensor contains" not in str(error) and not isinstance(error, OverflownError):
                raise
            raise StoppedError(
                f"the policy's probabilities are not finite at step {self.trainer.state.global_step + 1}",
                Path(self.trainer.args.output_dir),
                "lower learning_rate or train in bfloat16, then continue with --resume",
            ) from error

    def saw(self, micro_batch: Mapping[str, Any], loss: Tensor) -> None:
        """Keep a micro-batch of the current optimizer step."""
        self._micro_batches.append((micro_batch, loss.detach()))

    def before_step(self, model: Any, norm: Any) -> dict[str, float]:
        """Take the gradients away if this step's loss or gradient norm is not finite on any rank.

        Returns the metrics to log; every rank has to call it.

        Raises:
            StoppedError: `max_skipped_steps` in a row were skipped, or DeepSpeed has applied the step.
        """
        losses = torch.stack([loss for _, loss in self._micro_batches])
        found = []
        if not losses.isfinite().all():
            found.append("loss")
        if not math.isfinite(_number(norm)) and self._scaler is None:
            found.append("gradient")  # a gradient scaler provokes overflows and skips them itself
        skipped = self.trainer.ranks.any(bool(found))
        self._since_log.append(skipped)
        if skipped:
            self._skip(model, found, losses, norm)
        else:
            self._skipped["in_a_row"] = 0
        self._micro_batches = []
        return {SKIPPED_STEPS: float(self._skipped["in_all"])} if self._skipped["in_all"] else {}

    def skipped_all_since_log(self) -> bool:
        """Whether there were optimizer steps since this was last asked, and every one was skipped."""
        found, self._since_log = self._since_log, []
        return bool(found) and all(found)

    @property
    def _scaler(self) -> Any:
        return getattr(self.trainer.accelerator, "scaler", None)

    def _skip(self, model: Any, found: list[str], losses: Tensor, norm: Any) -> None:
        trainer = self.trainer
        self._skipped = {name: count + 1 for name, count in self._skipped.items()}
        folder = self._store(found, losses, norm)
        what = " and ".join(found or ["loss or gradient of another rank"])
        step, limit = trainer.state.global_step + 1, trainer.args.max_skipped_steps
        if trainer.is_deepspeed_enabled:  # it has stepped inside backward already
            self._stop(f"step {step}: {what} not finite, and DeepSpeed has applied it", folder)
        if self._scaler is None:
            model.zero_grad(set_to_none=True)
        if self._skipped["in_a_row"] >= limit:
            self._stop(f"{limit} steps in a row up to step {step} had a {what} that is not finite", folder)
        trainer.tell(
            f"step {step} is skipped: {what} not finite ({self._skipped['in_a_row']} in a row); {folder}"
        )

    def _stop(self, what: str, folder: Path) -> None:
        advice = "lower learning_rate or max_grad_norm, or train in bfloat16, then continue with --resume"
        raise StoppedError(f"{what} (see {folder})", Path(self.trainer.args.output_dir), advice)

    def _store(self, found: Sequence[str], losses: Tensor, norm: Any) -> Path:
        """Write the micro-batches of a skipped step: tensors from every rank that saw it, and a summary."""
        trainer = self.trainer
        folder = incident_folder(Path(trainer.args.output_dir), trainer.state.global_step + 1)
        rank = trainer.ranks.index
        if self._skipped["in_all"] > MOST_INCIDENTS:
            return folder.parent
        if found or trainer.ranks.main:
            folder.mkdir(parents=True, exist_ok=True)
            tensors, layout = rollout_buffer.pack([batch for batch, _ in self._micro_batches])
            save_file(tensors, folder / f"batch-{rank}.safetensors")
            (folder / f"batch-{rank}.json").write_text(json.dumps(layout), encoding="utf-8")
            write_json(folder / f"incident-{rank}.json", self._summary(found, losses, norm))
        return folder

    def _summary(self, found: Sequence[str], losses: Tensor, norm: Any) -> dict[str, Any]:
        trainer = self.trainer
        responses = [
            trainer._tokenizer.decode(ids[mask.bool()].tolist())
            for batch, _ in self._micro_batches
            for ids, mask in zip(batch["completion_ids"], batch["completion_mask"], strict=True)
        ]
        return summary(
            trainer.state.global_step + 1,
            found,
            losses=losses.tolist(),
            norm=_number(norm),
            learning_rate=trainer._get_learning_rate(),
            left_out=self.left_out,
            responses=responses,
        )

    def state(self) -> dict[str, int]:
        """How many steps were skipped, as plain data from which `restore` continues."""
        return self._skipped

    def restore(self, state: Mapping[str, int]) -> None:
        """Continue where `state` was taken."""
        self._skipped = dict(state)


def _number(norm: Any) -> float:
    """The norm as a number; DeepSpeed may give none, which is no fault."""
    if norm is None:
        return 0.0
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
