"""Sick numbers: a step whose loss or gradient is not finite is skipped, kept as evidence, and counted."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor
from tqdm import tqdm

from ....models.families import image_token_id
from ....models.generation.decoder import OverflownError
from ....models.scoring.score import Scores
from ....rollouts import Rollouts
from ....run_folder import RunFolder, write_json
from ...checkpoints import StoppedError
from ...health_warnings import HealthWarnings
from ...image_placeholders import shortened
from ...invalid_responses import left_out
from ...metric_names import ROWS_LEFT_OUT
from ..state import rollout_buffer as in_hand
from .dynamic_sampling import InformativeTrainer

log = logging.getLogger(__name__)

MOST_INCIDENTS = 20
"""Batches that are written down; further ones are only counted."""


class GuardedTrainer(InformativeTrainer):
    """Skips optimizer steps that would make the weights NaN, and says when a run looks ill."""

    say: Callable[[str], None] = staticmethod(lambda text: None)
    """Shows the person who runs this one line; set by whoever drives the trainer."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.warnings = HealthWarnings(self.args)
        self._micro_batches: list[tuple[Mapping[str, Any], Tensor]] = []
        self._sick_scores: list[str] = []
        self._skipped = {"in_a_row": 0, "in_all": 0}

    # --- sampling ------------------------------------------------------------------------------------

    def _generate_single_turn(self, prompt_ids: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        if self.use_vllm and self.state.global_step != self._last_loaded_step:
            self._forget_images()
        if self.use_vllm and self.vllm_mode == "colocate":
            prompt_ids = shortened(prompt_ids, images, image_token_id(self.model.config))
        return super()._generate_single_turn(prompt_ids, images, *args, **kwargs)

    def _forget_images(self) -> None:
        """Have vLLM drop the encodings of images it has seen, which an update of the vision tower outdates.

        TRL resets the cache of prompts with every update, not this one.
        """
        if self.vllm_mode == "colocate":
            self.vllm_generation.llm.llm_engine.reset_encoder_cache()
        elif self.accelerator.is_main_process:
            client = self.vllm_generation.vllm_client
            answer = client.session.post(f"{client.base_url}/reset_encoder_cache")
            if answer.status_code != 200:
                log.warning(
                    "the vLLM server kept its encodings of images: it answered %s", answer.status_code
                )

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        try:
            return super()._generate(prompts)
        except RuntimeError as error:
            if "probability tensor contains" not in str(error) and not isinstance(error, OverflownError):
                raise
            raise StoppedError(
                f"the policy's probabilities are not finite at step {self.state.global_step + 1}",
                Path(self.args.output_dir),
                "lower learning_rate or train in bfloat16, then continue with --resume",
            ) from error

    # --- one optimizer step --------------------------------------------------------------------------

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if self.model.training:
            self._micro_batches.append((inputs, loss.detach()))
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The norm, after which the optimizer steps: without gradients, if this step is sick."""
        norm = super()._get_grad_norm(model, grad_norm)
        losses = torch.stack([loss for _, loss in self._micro_batches])
        found = []
        if not losses.isfinite().all():
            found.append("loss")
        if not math.isfinite(_number(norm)) and self._scaler is None:
            found.append("gradient")  # with a scaler an overflow is its everyday business
        if self.ranks.any(bool(found)):
            self._skip(model, found, losses, norm)
        else:
            self._skipped["in_a_row"] = 0
        if self._skipped["in_all"]:
            self._metrics["train"]["incidents/skipped_steps"] = [float(self._skipped["in_all"])]
        self._micro_batches = []
        return norm

    @property
    def _scaler(self) -> Any:
        return getattr(self.accelerator, "scaler", None)

    def _skip(self, model: Any, found: list[str], losses: Tensor, norm: Any) -> None:
        self._skipped = {name: count + 1 for name, count in self._skipped.items()}
        folder = self._write_incident(found, losses, norm)
        what = " and ".join(found or ["loss or gradient of another rank"])
        step, limit = self.state.global_step + 1, self.args.max_skipped_steps
        if self.is_deepspeed_enabled:  # it has stepped inside backward already
            self._stop(f"step {step}: {what} not finite, and DeepSpeed has applied it", folder)
        if self._scaler is None:
            model.zero_grad(set_to_none=True)
        if self._skipped["in_a_row"] >= limit:
            self._stop(f"{limit} steps in a row up to step {step} had a {what} that is not finite", folder)
        self.tell(
            f"step {step} is skipped: {what} not finite ({self._skipped['in_a_row']} in a row); {folder}"
        )

    def _stop(self, what: str, folder: Path) -> None:
        advice = "lower learning_rate or max_grad_norm, or train in bfloat16, then continue with --resume"
        raise StoppedError(f"{what} (see {folder})", Path(self.args.output_dir), advice)

    def _write_incident(self, found: Sequence[str], losses: Tensor, norm: Any) -> Path:
        """The micro-batches of a sick step: as tensors from every rank that saw it, and in words."""
        incidents = RunFolder(Path(self.args.output_dir)).incidents
        folder = incidents / f"step-{self.state.global_step + 1}"
        rank, main = self.accelerator.process_index, self.accelerator.is_main_process
        if self._skipped["in_all"] > MOST_INCIDENTS:
            return incidents
        if found or main:
            folder.mkdir(parents=True, exist_ok=True)
            tensors, layout = in_hand.pack([batch for batch, _ in self._micro_batches])
            save_file(tensors, folder / f"batch-{rank}.safetensors")
            (folder / f"batch-{rank}.json").write_text(json.dumps(layout), encoding="utf-8")
            write_json(folder / f"incident-{rank}.json", self._incident(found, losses, norm))
        return folder

    def _incident(self, found: Sequence[str], losses: Tensor, norm: Any) -> dict[str, Any]:
        responses = [
            self._tokenizer.decode(ids[mask.bool()].tolist())
            for batch, _ in self._micro_batches
            for ids, mask in zip(batch["completion_ids"], batch["completion_mask"], strict=True)
        ]
        return {
            "step": self.state.global_step + 1,
            "not_finite": list(found),
            "losses": [str(loss) for loss in losses.tolist()],
            "gradient_norm": str(_number(norm)),
            "learning_rate": self._get_learning_rate(),
            "scores": self._sick_scores,
            "responses": responses,
        }

    # --- scores --------------------------------------------------------------------------------------

    def _leave_out(
        self, rollouts: Rollouts, unusable: dict[int, str], scores: Scores | None, out: dict[str, Any]
    ) -> Rollouts:
        """The rollouts that count, after those that are unusable or have no scores left the batch.

        Such a row goes without a trace: no token of it is trained on. A score that is not finite all the
        same makes the row's advantage NaN, so that its optimizer step is skipped.
        """
        signals, skipped = ({}, {}) if scores is None else (scores.signals, scores.skipped)
        rows = left_out(rollouts, unusable, skipped, signals)
        removed = rows.removed[:, None]
        out["advantages"] = out["advantages"].masked_fill(rows.not_finite, float("nan"))
        out["completion_mask"] = out["completion_mask"].masked_fill(removed, 0)
        out["completion_ids"] = out["completion_ids"].masked_fill(removed, self._tokenizer.pad_token_id)
        self._sick_scores = rows.reasons
        count = self.ranks.gather_rows(torch.tensor([float(len(rows.reasons))], device=removed.device))
        if count.sum() > 0:
            self._metrics["train"][ROWS_LEFT_OUT].append(count.sum().item())
        for line in rows.reasons:
            log.warning("left out of step %d: %s", self.state.global_step + 1, line)
        return replace(rollouts, mask=rows.mask(rollouts.mask))

    # --- the person who runs this --------------------------------------------------------------------

    def tell(self, text: str) -> None:
        """One line on the screen, above the progress bar, and in the log; from rank 0."""
        if self.accelerator.is_main_process:
            log.warning("%s", text)
            with tqdm.external_write_mode(file=sys.stderr):
                self.say(text)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs, start_time)
        for line in self.warnings.of(logs):
            self.tell(f"step {self.state.global_step}: {line}")

    # --- checkpoints ---------------------------------------------------------------------------------

    def _progress(self) -> dict[str, Any]:
        return super()._progress() | {"skipped_steps": self._skipped, "symptoms": self.warnings.state()}

    def _restore(self, progress: dict[str, Any], folder: Any) -> None:
        super()._restore(progress, folder)
        self._skipped = dict(progress["skipped_steps"])
        self.warnings.restore(progress["symptoms"])


def _number(norm: Any) -> float:
    """The norm as a number; DeepSpeed may have none to tell, which is no fault."""
    if norm is None:
        return 0.0
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
