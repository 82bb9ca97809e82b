"""What the trainer leaves in the run's folder: a line of metrics a step, checkpoints, the trained model."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ....run_folder import RunFolder, finite, write_json, write_text
from ...checkpoints import STAGING, publish, rotate
from ...health_warnings import HealthWarnings
from ...metric_names import SKIPPED_STEPS
from ...model_card import model_card
from ...progress import MetricsFile, Moment
from ..run_signals import FailedError, RunSignals
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
        self.warnings = HealthWarnings(_Warn(asked["warn"]))
        self.waiting = False
        """Whether a checkpoint is saved and not yet published."""
        self.stopped = False
        """Whether the run ends before its last step."""
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

    def step_ends(self, metrics: Mapping[str, Any], measured: Mapping[str, float]) -> dict[str, float]:
        """Write the step's metrics, warn, then make its checkpoint and the trained model visible.

        Returns the step's row, for trackers.

        Raises:
            FailedError: too many steps in a row were skipped.
        """
        row = under_our_names(metrics, measured)
        self._tokens += row.get("num_tokens", 0.0)
        row["num_tokens"] = self._tokens
        self._count_skipped(row)
        self.file.step_ends(self._now)
        self.file.logged(self._now, row)
        for line in self.warnings.of(finite(row)):
            self.signals.say(f"step {self._now.step}: {line}")
        if self.waiting:
            self._publish()
        if self.trainer.global_steps >= self.trainer.total_training_steps and not self.stopped:
            self._export()
        return row

    def _count_skipped(self, row: dict[str, float]) -> None:
        """verl leaves out an update whose gradient is not finite; here it is counted."""
        ill = not math.isfinite(row.get("grad_norm", 0.0))
        self._skipped += ill
        self._skipped_in_a_row = self._skipped_in_a_row + 1 if ill else 0
        row[SKIPPED_STEPS] = float(self._skipped)
        if ill:
            self.signals.say(f"step {self._now.step}: skipped an update, its gradient is not finite")
        if self._skipped_in_a_row >= self.asked["max_skipped_steps"]:
            error = FailedError(
                f"{self._skipped_in_a_row} rollout batches in a row had a gradient that is not finite"
            )
            self.signals.fail(error, stopped=True)
            raise error

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
        state = yaml.safe_load((Path(self.asked["resume_from"]).parent / STATE).read_text(encoding="utf-8"))
        self.warnings.restore(state["warnings"])
        self._skipped, self._tokens = int(state["skipped"]), float(state["tokens"])

    def _export(self) -> None:
        part = self.folder.path / EXPORTED
        shutil.rmtree(part, ignore_errors=True)
        self.trainer.actor_rollout_wg.save_checkpoint(str(part))
        shutil.rmtree(self.folder.model, ignore_errors=True)
        part.rename(self.folder.model)

    def _card(self) -> str:
        config = yaml.safe_load(self.folder.config.read_text(encoding="utf-8"))
        described, problems = self.asked["described"], self.asked["problems"]
        method = self.trainer.method
        return model_card(config, method, described, self.folder, self._now.step, problems, engine="verl")


class _Warn:
    """The settings of health warnings, by their names."""

    def __init__(self, values: Mapping[str, Any]):
        self.warn_zero_rewards = int(values["warn_zero_rewards"])
        self.warn_zero_gradient = int(values["warn_zero_gradient"])
        self.warn_entropy, self.warn_drift = float(values["warn_entropy"]), float(values["warn_drift"])
        self.warn_blind = 0.0  # how much the image matters is not measured here
        self.generation_batch_size = int(values["generation_batch_size"])
