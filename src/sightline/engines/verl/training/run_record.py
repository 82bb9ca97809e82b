"""What the trainer leaves in the run's folder: a line of metrics a step, checkpoints, the trained model."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import ray  # pyright: ignore[reportMissingImports]

from ....plain_files import read_plain
from ....run_folder import RunFolder, finite, write_json, write_text
from ...checkpoints import STAGING, StoppedError, publish, rotate
from ...health_warnings import HealthWarnings, WarningSettings
from ...incidents import MOST_INCIDENTS, incident_folder
from ...metric_names import SKIPPED_STEPS
from ...model_card import model_card
from ...progress import MetricsFile, Moment
from ...saved_model import saved_where_it_fits
from ..causes import cause_of
from ..run_signals import RunSignals
from .incidents import store_batch
from .metrics import under_our_names
from .model_export import EXPORTED

STATE = "trainer.json"
"""What a resumed run continues from beside verl's own files."""
VERL_FOLDER = "global_step_"
"""Before verl's step: the folder of its files in a checkpoint."""


class RunRecord:
    """Follows verl's trainer, in its process.

    `metrics.jsonl` and the names of checkpoints count optimizer steps, of which one of verl's takes
    `updates`. A checkpoint is published after the metrics of its step are written.
    """

    def __init__(self, trainer: Any, asked: Mapping[str, Any]):
        self.trainer, self.asked = trainer, asked
        self.folder = RunFolder(Path(asked["folder"]))
        self.signals = RunSignals(self.folder.path)
        self.updates = int(asked["updates"])
        self.file = MetricsFile(self.folder.metrics)
        self.warnings = HealthWarnings(cast(WarningSettings, SimpleNamespace(**asked["warn"])))
        self.waiting = False
        """Whether a checkpoint is saved and not yet published."""
        self.stopped = False
        """Whether the run ends before its last step."""
        self.left_out: list[str] = []
        """One line per row that was left out of the rollout batch in hand."""
        self._skipped_in_a_row, self._skipped, self._tokens = 0, 0, 0.0
        self._restore()

    @property
    def _now(self) -> Moment:
        steps = self.trainer.total_training_steps * self.updates
        return Moment(step=self.trainer.global_steps * self.updates, steps=steps, tokens=self._tokens)

    def begin(self) -> None:
        """Before the first step: drop the metrics of steps that will be done again."""
        self.file.begin(self._now)

    def step_begins(self) -> None:
        self.file.step_begins(self._now)

    def saved(self) -> None:
        """verl has written a checkpoint into the staging folder."""
        self.waiting = True

    def step_ends(
        self, batch: Any, metrics: Mapping[str, Any], measured: Mapping[str, float]
    ) -> dict[str, float]:
        """Write the step's metrics, warn, then make its checkpoint and the trained model visible.

        Returns the step's row, for trackers.

        Raises:
            StoppedError: too many steps in a row were skipped, or the trained model fits on no disk.
        """
        try:
            return self._step_ends(batch, metrics, measured)
        except StoppedError as error:
            self.signals.fail(error)
            raise

    def _step_ends(
        self, batch: Any, metrics: Mapping[str, Any], measured: Mapping[str, float]
    ) -> dict[str, float]:
        row = under_our_names(metrics, measured)
        self._tokens += row.get("num_tokens", 0.0)
        row["num_tokens"] = self._tokens
        self._count_skipped(row, batch)
        self.file.step_ends(self._now)
        self.file.logged(self._now, row)
        for line in self.warnings.of(finite(row)):
            self.signals.say(f"step {self._now.step}: {line}")
        if self.waiting:
            self._publish()
        if self.trainer.global_steps >= self.trainer.total_training_steps and not self.stopped:
            self._export()
        return row

    def _count_skipped(self, row: dict[str, float], batch: Any) -> None:
        """verl leaves out an update whose gradient is not finite; here it is counted and its batch stored."""
        ill = not math.isfinite(row.get("grad_norm", 0.0))
        self._skipped += ill
        self._skipped_in_a_row = self._skipped_in_a_row + 1 if ill else 0
        row[SKIPPED_STEPS] = float(self._skipped)
        if not ill:
            return
        step, again = self._now.step, self._skipped_in_a_row
        folder = incident_folder(self.folder.path, step)
        if self._skipped <= MOST_INCIDENTS:
            store_batch(
                self.folder.path,
                step,
                batch,
                row,
                signals=sorted(self.trainer.method.needs.signals),
                left_out=self.left_out,
                tokenizer=self.trainer.tokenizer,
            )
        if again >= self.asked["max_skipped_steps"]:
            raise StoppedError(
                f"{again} rollout batches in a row up to step {step} had a gradient that is not finite "
                f"(see {folder})",
                self.folder.path,
                "lower learning_rate or max_grad_norm, then continue with --resume",
            )
        self.signals.say(f"step {step} is skipped: gradient not finite ({again} in a row); {folder}")

    # --- checkpoints and the model ----------------------------------------------------------------------

    def _publish(self) -> None:
        staging = self.folder.path / STAGING
        step = self._now.step
        name = f"{VERL_FOLDER}{self.trainer.global_steps}"
        whole = staging / f"whole-{step}"
        whole.mkdir()
        (staging / name).rename(whole / name)
        write_text(whole / "README.md", self._card())
        write_json(whole / STATE, {"warnings": self.warnings.state(), "skipped": self._skipped,
                                   "tokens": self._tokens})  # fmt: skip
        publish(whole, self.folder.path / f"checkpoint-{step}", {"step": step, "engine": "verl"})
        shutil.rmtree(staging, ignore_errors=True)
        rotate(self.folder.path, self.asked["save_total_limit"])
        self.waiting = False

    def _restore(self) -> None:
        if not self.asked["resume_from"]:
            return
        state = read_plain(Path(self.asked["resume_from"]).parent / STATE)
        self.warnings.restore(state["warnings"])
        self._skipped, self._tokens = int(state["skipped"]), float(state["tokens"])

    def _export(self) -> None:
        """The trained model, in `model/` of the run or of its spare folder."""
        asked = self.asked
        room = asked["spare_dir"], asked["model_bytes"], asked["wait_for_disk"]
        try:
            saved_where_it_fits(self._export_to, self.folder, *room, self.signals.say)
        except OSError as error:
            raise StoppedError(
                f"the trained model is not saved in {error.filename}: {error.strerror}", self.folder.path
            ) from error

    def _export_to(self, place: RunFolder) -> None:
        part = place.path / EXPORTED
        shutil.rmtree(part, ignore_errors=True)
        try:
            self.trainer.actor_rollout_wg.save_checkpoint(str(part))
        except ray.exceptions.RayError as error:
            raise cause_of(error) from error
        shutil.rmtree(place.model, ignore_errors=True)
        part.rename(place.model)

    def _card(self) -> str:
        config = read_plain(self.folder.config)
        described, problems = self.asked["described"], self.asked["problems"]
        method = self.trainer.method
        return model_card(config, method, described, self.folder, self._now.step, problems, engine="verl")
