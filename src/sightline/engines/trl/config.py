"""Every setting of a training run: TRL's `GRPOConfig` under its own names, and a handful of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml
from trl.trainer.grpo_config import GRPOConfig

from ...errors import UserError
from .batches import check_batches
from .machine import check_machine

PLAIN_DATA = ("method_options", "rewards", "task", "columns")
"""Settings that a flag may give as JSON or YAML."""


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def _plain(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{name} is not valid JSON or YAML: {text}") from error


@dataclass
class TrainConfig(GRPOConfig):
    """`GRPOConfig` plus what Sightline adds. TRL's names, meanings and defaults are untouched, but for
    `logging_steps` (1: metrics.jsonl holds every step)."""

    method: str = _setting("vgpo", "How tokens are credited: grpo, vgpo, vppo, pgpo, ...")
    method_options: dict[str, Any] | str | None = _setting(
        None, 'Options of the method, a mapping: {"strength": 0.3}.'
    )
    model: str | None = _setting(None, "Short for model_name_or_path: a folder, a hub id, or `embedded`.")
    freeze_vision: bool = _setting(False, "Leave the vision tower as it is; only the rest is trained.")

    task: str = _setting(
        "shapes", "What is trained on: a task, hub id or path, or plain data as in the docs."
    )
    limit: int | None = _setting(None, "Use only the first N training problems.")
    max_prompt_length: int | None = _setting(
        None, "Leave out problems whose prompt, pictures included, has more tokens; none by default."
    )
    prompt_template: str | None = _setting(None, "`papers` (default), `plain`, or a Jinja file.")
    system_prompt: str | None = _setting(None, "A system message in front of every prompt.")
    columns: dict[str, Any] | str | None = _setting(
        None, "Which column is what, a mapping of question, answer, images, choices, kind."
    )
    min_pixels: int | None = _setting(None, "Enlarge pictures to at least this many pixels.")
    max_pixels: int | None = _setting(None, "Shrink pictures to at most this many pixels.")
    on_bad_row: str = _setting("error", "`error` at an unusable row before the run starts, or `skip` it.")
    allow_urls: bool = _setting(False, "Fetch pictures that rows give as public web addresses.")
    streaming: bool = _setting(False, "Read rows one after the other instead of from a cache on disk.")

    rewards: dict[str, Any] | str | None = _setting(
        "accuracy",
        "What is rewarded: accuracy, format, strict_format, file.py:function; names with commas between "
        "(weights in reward_weights), or a mapping of weights: {accuracy: 0.9, format: 0.1}.",
    )
    max_rounds: int = _setting(
        4,
        "Where the objective trains on informative groups alone: sample at most this many times to fill a "
        "batch; 1 leaves the replacement out.",
    )
    when_uninformative: str = _setting(
        "keep", "When max_rounds have not filled a batch: `keep` uninformative groups in it, or `error`."
    )

    eval_problems: int = _setting(512, "Held-out problems measured before and after; 0 leaves both out.")
    report_problems: int = _setting(12, "Held-out problems shown in report.html.")
    resume: bool = _setting(False, "Continue the run in output_dir from its last whole checkpoint.")
    force: bool = _setting(False, "Resume although harmless settings differ, such as logging or saving.")
    overwrite: bool = _setting(False, "Replace the run in output_dir.")
    json: bool = _setting(False, "Print the results as JSON instead of a table.")
    logging_steps: float = _setting(1, "Steps between two lines of metrics.jsonl.")

    max_skipped_steps: int = _setting(
        5, "Stop after so many optimizer steps in a row were skipped for NaN or infinity."
    )
    warn_zero_rewards: int = _setting(10, "Warn after so many rollout batches without any reward; 0: never.")
    warn_entropy: float = _setting(
        0.1, "Warn when entropy falls below this share of what the run began with; 0: never."
    )
    warn_drift: float = _setting(
        0.05, "Warn when log-probs of sampler and trainer differ by more on average, in nats; 0: never."
    )
    blind_every: int = _setting(
        25, "Rollout batches between two looks at how much the picture matters to the answers; 0: never."
    )
    warn_blind: float = _setting(
        1e-3, "Warn when taking the picture away moves a token's log-prob by less on average, in nats."
    )

    def __post_init__(self) -> None:
        check_machine(self)
        check_batches(self)
        super().__post_init__()
        for name in PLAIN_DATA:
            value = getattr(self, name)
            if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
                setattr(self, name, _plain(name, value))
        if self.when_uninformative not in ("keep", "error"):
            raise UserError(f"when_uninformative must be keep or error, got {self.when_uninformative!r}")
        for name, least in (("max_rounds", 1), ("max_skipped_steps", 1), ("blind_every", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}, got {getattr(self, name)}")
