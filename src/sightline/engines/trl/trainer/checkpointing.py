"""A GRPOTrainer that can be killed at any moment and goes on with the same numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils.peft_utils import ADAPTER_SAFE_WEIGHTS_NAME
from trl.trainer.grpo_trainer import GRPOTrainer

from ....errors import UserError
from ...checkpoints import STAGING, StoppedError, publish, rotate, size
from ..ranks import AccelerateRanks
from ..state import rollout_buffer as in_hand
from ..state.reference_model import load_reference, reference_is_copy, save_reference
from ..upstream_contract import check_contract

PROGRESS = "progress.json"
"""Where training stood, beside what transformers saves itself."""


class ResumableTrainer(GRPOTrainer):
    """Checkpoints that are whole or not there, and everything in them that the next step depends on.

    Beside what transformers saves (weights, optimizer, scheduler, the global generators of every rank)
    a checkpoint holds TRL's step counter, the rollouts in hand, and what subclasses add to `_progress`.
    """

    model: Any
    args: Any
    num_generations: Any
    num_iterations: Any
    card: Callable[[], str] | None = None
    """Writes the model card of a checkpoint; none is written without it."""
    _staging: Path | None = None
    _sampler: Any = None

    def __init__(self, *, model: Any, args: Any, **kwargs: Any):
        check_contract()
        self.ranks = AccelerateRanks(args)
        with reference_is_copy(args, model):
            super().__init__(model=model, args=args, **kwargs)

    # --- saving --------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save into a hidden folder on all ranks, and give it its name once it is whole and on disk.

        Raises:
            StoppedError: it could not be written, as on a full disk; the checkpoints before it stay.
        """
        folder = Path(self.args.output_dir)
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        self._staging = folder / STAGING
        staged = self._staging / name
        try:
            self._together(self._make_staging, staged)
            self._together(super()._save_checkpoint, model, trial)
            self._together(self._save_in_hand, staged)
            self._together(self._publish, staged, folder / name, main_only=True)
        except SavingError as error:
            self._give_up(folder, name, error)
        finally:
            self._staging = None

    def _together(self, action: Callable[..., Any], *args: Any, main_only: bool = False) -> None:
        """Run one part of saving; if it fails on any rank it has failed on all of them."""
        problem: BaseException | None = None
        try:
            if not main_only or self.accelerator.is_main_process:
                action(*args)
        except (OSError, RuntimeError, SafetensorError) as error:
            problem = error
        if self.ranks.any(problem is not None):
            raise SavingError(str(problem or "another rank failed")) from problem

    def _make_staging(self, staged: Path) -> None:
        if self.accelerator.is_main_process:
            shutil.rmtree(staged.parent, ignore_errors=True)
            staged.mkdir(parents=True)
        self.accelerator.wait_for_everyone()

    def _save_in_hand(self, staged: Path) -> None:
        if self._step % self._micro_steps_per_batch and self._buffered_inputs is not None:
            in_hand.save(staged, self.accelerator.process_index, self._buffered_inputs)
        if self.args.sync_ref_model:
            save_reference(staged, self.ref_model, self.accelerator)
        if self.accelerator.is_main_process:
            (staged / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # a pickle that nothing reads
            (staged / PROGRESS).write_text(json.dumps(self._progress()), encoding="utf-8")

    @property
    def _micro_steps_per_batch(self) -> int:
        """Micro-batches that one rollout batch feeds."""
        return int(self.args.steps_per_generation * self.num_iterations)

    def _progress(self) -> dict[str, Any]:
        """Plain data from which `_restore` goes on."""
        rollouts = self._buffered_inputs is not None and self._step % self._micro_steps_per_batch != 0
        return {
            "micro_steps": self._step,
            "micro_steps_per_batch": self._micro_steps_per_batch,
            "rollouts_in_hand": rollouts,
            "processes": self.accelerator.num_processes,
        }

    def _publish(self, staged: Path, target: Path) -> None:
        publish(staged, target, {"step": self.state.global_step, **self._progress()})
        shutil.rmtree(staged.parent, ignore_errors=True)
        rotate(target.parent, self.args.save_total_limit)

    def _give_up(self, folder: Path, name: str, error: SavingError) -> None:
        needed = 0
        if self.accelerator.is_main_process and self._staging is not None:
            needed = size(self._staging)
            shutil.rmtree(self._staging, ignore_errors=True)
        free = shutil.disk_usage(folder).free
        raise StoppedError(
            f"{name} could not be saved: {error} ({needed / 1e6:,.0f} MB written, {free / 1e6:,.0f} MB free)",
            folder,
        ) from error

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging) if self._staging is not None else super()._get_output_dir(trial)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """The checkpoint's README.md, in place of TRL's in the run folder."""
        if self.card is None or self._staging is None or not self.accelerator.is_main_process:
            return
        for folder in self._staging.iterdir():
            (folder / "README.md").write_text(self.card(), encoding="utf-8")

    # --- resuming ------------------------------------------------------------------------------------

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load every weight or fail: the trainer's own way renames no legacy key and passes over misses."""
        target = model or self.model
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        elif hasattr(target, "get_base_model"):
            _load_adapter(target, Path(resume_from_checkpoint))
        else:
            kinds = {parameter.dtype for parameter in target.parameters()}
            exact = kinds.pop() if len(kinds) == 1 else torch.float32
            saved = type(target).from_pretrained(resume_from_checkpoint, dtype=exact, use_safetensors=True)
            target.load_state_dict(saved.state_dict(), strict=True)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            folder = Path(checkpoint)
            self._restore(json.loads((folder / PROGRESS).read_text(encoding="utf-8")), folder)

    def _restore(self, progress: dict[str, Any], folder: Path) -> None:
        """Go on where `_progress` says.

        Between two rollout batches that may be on other ranks and in other micro-batches.
        """
        sizes = progress["processes"], progress["micro_steps_per_batch"]
        here = self.accelerator.num_processes, self._micro_steps_per_batch
        self._step = progress["micro_steps"] // sizes[1] * here[1] + progress["micro_steps"] % sizes[1]
        if progress["rollouts_in_hand"]:
            if sizes != here:
                raise UserError(
                    f"{folder.name} was saved amid a rollout batch by {sizes[0]} processes of {sizes[1]} "
                    f"micro-batches each, here are {here[0]} of {here[1]}; resume with the same, or from a "
                    "checkpoint at the end of a rollout batch"
                )
            device = self.accelerator.device
            self._buffered_inputs = in_hand.load(folder, self.accelerator.process_index, device)
        if self.args.sync_ref_model:
            load_reference(folder, self.ref_model, self.accelerator)

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        self._sampler = super()._get_train_sampler(dataset)
        return self._sampler

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        epochs, steps = super()._init_training_state(*args, **kwargs)
        generator = getattr(self._sampler, "generator", None)
        for _ in range(epochs if generator is not None else 0):
            # Every epoch shuffles with the generator as the one before it left it.
            torch.randperm(self._sampler.num_samples, generator=generator)
        return epochs, steps

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True  # the last checkpoint of a run that was finished
            return
        super()._run_epoch(*args, **kwargs)


class SavingError(Exception):
    """A part of saving failed on some rank."""


def _load_adapter(model: Any, folder: Path) -> None:
    from peft import set_peft_model_state_dict

    weights = load_file(folder / ADAPTER_SAFE_WEIGHTS_NAME)
    result = set_peft_model_state_dict(model, weights, adapter_name=model.active_adapter)
    missing = [name for name in result.missing_keys if f".{model.active_adapter}." in name]
    if missing or result.unexpected_keys:
        raise UserError(
            f"{folder} does not fit this model's adapter: {len(missing)} weights are missing, "
            f"{len(result.unexpected_keys)} are unknown; resume with the settings it was saved with"
        )
