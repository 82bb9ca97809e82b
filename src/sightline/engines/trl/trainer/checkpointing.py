"""Checkpoints that are complete or not there, and hold everything that the next optimizer step depends on.

Beside what transformers saves (weights, optimizer, scheduler, the global generators of every rank) that is
TRL's counter of micro-batches, the micro-batches of the rollout batch that are left to train on, a reference
model that follows the policy, and the state of the trainer's own parts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers.trainer import TRAINER_STATE_NAME, TRAINING_ARGS_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils.peft_utils import ADAPTER_SAFE_WEIGHTS_NAME

from ....errors import UserError
from ....models.processors import forget_last_batch
from ....plain_files import Refused, read_plain
from ....structure import COUNT, FLAG, fault
from ...checkpoints import STAGING, StoppedError, publish, rotate, size
from ...disk_space import is_full
from ..state import rollout_buffer
from ..state.reference_model import load_reference, save_reference
from .held_out import best_checkpoint

PROGRESS = "progress.json"
"""Where training stood, beside what transformers saves itself."""
_PROGRESS = {
    **dict.fromkeys(("micro_steps", "micro_steps_per_batch", "processes"), COUNT),
    "rollouts_in_hand": FLAG,
}


class Part(Protocol):
    """Something whose state a checkpoint keeps."""

    def state(self) -> Any:
        """Plain data."""
        ...

    def restore(self, state: Any) -> None:
        """Continue where `state` was taken."""
        ...


class Checkpointer:
    """Saves and restores what a trainer needs beside what transformers saves."""

    def __init__(self, trainer: Any, parts: Mapping[str, Part]):
        """`parts` are kept under their keys in progress.json."""
        self.trainer, self.parts = trainer, parts
        self.staging: Path | None = None
        """The hidden folder in which a checkpoint grows; None while none is saved."""

    # --- saving --------------------------------------------------------------------------------------

    def save(self, transformers_part: Callable[[], None]) -> None:
        """Save into a hidden folder on all ranks, and give it its name once it is complete and on disk.

        Raises:
            StoppedError: it could not be written, as on a full disk; the checkpoints before it stay.
        """
        folder = Path(self.trainer.args.output_dir)
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.trainer.state.global_step}"
        self.staging = folder / STAGING
        staged = self.staging / name
        try:
            self._on_all_ranks(_empty_folder, staged, main_only=True)  # nobody goes on before it is there
            forget_last_batch(self.trainer.processing_class)
            self._on_all_ranks(transformers_part)
            self._on_all_ranks(self._save_ours, staged)
            self._on_all_ranks(self._publish, staged, folder / name, main_only=True)
        except SavingError as error:
            self._give_up(folder, name, error)
        finally:
            self.staging = None

    def _on_all_ranks(self, action: Callable[..., Any], *args: Any, main_only: bool = False) -> None:
        """Run one part of saving; if it fails on any rank it has failed on all of them."""
        problem: BaseException | None = None
        try:
            if not main_only or self.trainer.ranks.main:
                action(*args)
        except (OSError, RuntimeError, SafetensorError) as error:
            problem = error
        except Exception as error:
            if not is_full(error):
                raise
            problem = error
        if self.trainer.ranks.any(problem is not None):
            said = filter(None, self.trainer.ranks.gather_items([_why(problem)]))
            raise SavingError("; ".join(dict.fromkeys(said))) from problem

    def _save_ours(self, staged: Path) -> None:
        trainer = self.trainer
        if trainer.state.best_model_checkpoint is not None:  # a path into the hidden folder, of no use later
            trainer.state.best_model_checkpoint = None
            if trainer.ranks.main:
                trainer.state.save_to_json(str(staged / TRAINER_STATE_NAME))
        if self._amid_rollout_batch:
            rollout_buffer.save(staged, trainer.ranks.index, trainer._buffered_inputs)
        if trainer.args.sync_ref_model:
            save_reference(staged, trainer.ref_model, trainer.accelerator)
        if trainer.ranks.main:
            (staged / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # a pickle that nothing reads
            (staged / PROGRESS).write_text(json.dumps(self._progress()), encoding="utf-8")

    @property
    def _micro_steps_per_batch(self) -> int:
        """Micro-batches that one rollout batch feeds."""
        return int(self.trainer.args.steps_per_generation * self.trainer.num_iterations)

    @property
    def _amid_rollout_batch(self) -> bool:
        trainer = self.trainer
        return trainer._buffered_inputs is not None and trainer._step % self._micro_steps_per_batch != 0

    def _progress(self) -> dict[str, Any]:
        """Plain data from which `restore` continues."""
        own = {
            "micro_steps": self.trainer._step,
            "micro_steps_per_batch": self._micro_steps_per_batch,
            "rollouts_in_hand": self._amid_rollout_batch,
            "processes": self.trainer.ranks.count,
        }
        return own | {key: part.state() for key, part in self.parts.items()}

    def _publish(self, staged: Path, target: Path) -> None:
        publish(staged, target, {"step": self.trainer.state.global_step, **self._progress()})
        shutil.rmtree(staged.parent, ignore_errors=True)
        rotate(target.parent, self.trainer.args.save_total_limit, best_checkpoint(self.trainer))

    def _give_up(self, folder: Path, name: str, error: SavingError) -> None:
        needed = 0
        if self.trainer.ranks.main and self.staging is not None:
            needed = size(self.staging)
            shutil.rmtree(self.staging, ignore_errors=True)
        free = shutil.disk_usage(folder).free
        raise StoppedError(
            f"{name} could not be saved: {error} ({needed / 1e6:,.0f} MB written, {free / 1e6:,.0f} MB free)",
            folder,
        ) from error

    def write_card(self, card: Callable[[], str] | None) -> None:
        """Write README.md into the checkpoint that is being saved."""
        if card is None or self.staging is None or not self.trainer.ranks.main:
            return
        for folder in self.staging.iterdir():
            (folder / "README.md").write_text(card(), encoding="utf-8")

    # --- resuming ------------------------------------------------------------------------------------

    def restore(self, folder: Path) -> None:
        """Continue from a checkpoint, whose weights and optimizer are loaded already.

        At the end of a rollout batch that may be on other ranks and in other micro-batches.

        Raises:
            UserError: it was saved amid a rollout batch by other ranks or in other micro-batches.
        """
        trainer = self.trainer
        progress = _read_progress(folder)
        sizes = progress["processes"], progress["micro_steps_per_batch"]
        here = trainer.ranks.count, self._micro_steps_per_batch
        trainer._step = progress["micro_steps"] // sizes[1] * here[1] + progress["micro_steps"] % sizes[1]
        if progress["rollouts_in_hand"]:
            if sizes != here:
                raise UserError(
                    f"{folder.name} was saved amid a rollout batch by {sizes[0]} processes of {sizes[1]} "
                    f"micro-batches each, here are {here[0]} of {here[1]}; resume with the same, or from a "
                    "checkpoint at the end of a rollout batch"
                )
            device = trainer.accelerator.device
            trainer._buffered_inputs = rollout_buffer.load(folder, trainer.ranks.index, device)
        if trainer.args.sync_ref_model:
            load_reference(folder, trainer.ref_model, trainer.accelerator)
        for key, part in self.parts.items():
            part.restore(progress[key])


class SavingError(Exception):
    """A part of saving failed on some rank."""


def _read_progress(folder: Path) -> dict[str, Any]:
    """Where training stood.

    Raises:
        UserError: the checkpoint does not say it.
    """
    try:
        found = read_plain(folder / PROGRESS)
    except (OSError, Refused) as error:
        raise UserError(f"{folder} is no checkpoint of this engine: {PROGRESS}: {error}") from error
    if wrong := fault(found, _PROGRESS):
        raise UserError(f"{folder} is no checkpoint of this engine: {PROGRESS}: {wrong}")
    return found


def _empty_folder(staged: Path) -> None:
    shutil.rmtree(staged.parent, ignore_errors=True)
    staged.mkdir(parents=True)


def _why(problem: BaseException | None) -> str:
    if problem is None:
        return ""
    return f"the disk is full ({problem})" if is_full(problem) else str(problem)


def load_weights(model: Any, folder: Path) -> None:
    """Load every weight of a checkpoint into a model that no wrapper shards, or fail.

    transformers' own way renames no legacy key and ignores missing ones.
    """
    if hasattr(model, "get_base_model"):
        _load_adapter(model, folder)
        return
    kinds = {parameter.dtype for parameter in model.parameters()}
    exact = kinds.pop() if len(kinds) == 1 else torch.float32
    saved = type(model).from_pretrained(folder, dtype=exact, use_safetensors=True)
    model.load_state_dict(saved.state_dict(), strict=True)


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


def replay_epochs(sampler: Any, epochs: int) -> None:
    """Bring a sampler's generator to where `epochs` epochs leave it: each draws one permutation."""
    generator = getattr(sampler, "generator", None)
    for _ in range(epochs if generator is not None else 0):
        torch.randperm(sampler.num_samples, generator=generator)
