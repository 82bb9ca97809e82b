"""The settings that every engine takes: each declared, defaulted and explained once.

An engine's own dataclass inherits these parts, and `--help` shows them in the order in which they stand here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ..rewards.functions import compares_golds
from ..tasks import DataOptions
from .command_line import plain_data
from .registry import USUAL
from .reward_settings import reward_weights

PLAIN_DATA = ("method_options", "rewards", "task", "columns")
"""Settings that a flag may give as JSON or YAML."""


@dataclass
class PolicySettings:
    """What is trained, and by which rule."""

    engine: str = field(
        default=USUAL, metadata={"help": "The library that trains: trl, or verl with its own --help."}
    )
    method: str = field(
        default="vgpo", metadata={"help": "How tokens are credited: grpo, vgpo, vppo, pgpo, ..."}
    )
    method_options: dict[str, Any] | str | None = field(
        default=None, metadata={"help": 'Options of the method, a mapping: {"strength": 0.3}.'}
    )
    plugins: str | None = field(
        default=None,
        metadata={"help": "Modules or files with rules of your own, as my_package.rules,rules.py."},
    )
    model: str | None = field(default=None, metadata={"help": "A folder, a hub id, or `embedded`."})
    freeze_vision: bool = field(
        default=False, metadata={"help": "Leave the vision tower as it is; only the rest is trained."}
    )


@dataclass
class DataSettings:
    """What it is trained on."""

    task: str = field(
        default="shapes", metadata={"help": "What is trained on: a task, a hub id or path, or plain data."}
    )
    limit: int | None = field(default=None, metadata={"help": "Use only the first N training problems."})
    max_prompt_length: int | None = field(
        default=None,
        metadata={
            "help": "Leave out problems whose prompt, images included, has more tokens; none by default."
        },
    )
    prompt_template: str | None = field(
        default=None, metadata={"help": "`papers` (default), `plain`, `boxed`, or a Jinja file."}
    )
    system_prompt: str | None = field(
        default=None, metadata={"help": "A system message in front of every prompt."}
    )
    columns: dict[str, Any] | str | None = field(
        default=None,
        metadata={"help": "Which column is what, a mapping of question, answer, images, choices, kind."},
    )
    min_pixels: int | None = field(
        default=None, metadata={"help": "Enlarge images to at least this many pixels."}
    )
    max_pixels: int | None = field(
        default=None, metadata={"help": "Shrink images to at most this many pixels."}
    )
    on_bad_row: str = field(
        default=DataOptions.on_bad_row,
        metadata={"help": "`error` at an unusable row before the run starts, or `skip` it."},
    )
    allow_urls: bool = field(
        default=DataOptions.allow_urls,
        metadata={"help": "Fetch images that rows give as public web addresses."},
    )
    streaming: bool = field(
        default=DataOptions.streaming,
        metadata={"help": "Read rows one after the other instead of from a cache on disk."},
    )


@dataclass
class RewardSettings:
    """What is rewarded, and which groups are trained on."""

    rewards: dict[str, Any] | str | None = field(
        default="accuracy",
        metadata={
            "help": "What is rewarded: accuracy, mathruler, pair, format, strict_format, boxed, "
            "file.py:function; several with commas between (weights in reward_weights) or as a mapping "
            "of weights: {accuracy: 0.9, format: 0.1}."
        },
    )
    max_rounds: int = field(
        default=4,
        metadata={
            "help": "Where the objective wants informative groups: sample at most this many times to fill "
            "a batch; 1 leaves the replacement out."
        },
    )
    when_uninformative: str = field(
        default="keep",
        metadata={
            "help": "When max_rounds have not filled a batch: `keep` uninformative groups in it, or `error`."
        },
    )


@dataclass
class FolderSettings:
    """What is measured around the training, and what becomes of the run's folder."""

    eval_problems: int = field(
        default=512, metadata={"help": "Held-out problems measured before and after; 0 leaves both out."}
    )
    report_problems: int = field(default=12, metadata={"help": "Held-out problems shown in report.html."})
    resume: bool = field(
        default=False, metadata={"help": "Continue the run in output_dir from its last whole checkpoint."}
    )
    force: bool = field(
        default=False,
        metadata={"help": "Resume although harmless settings differ, such as logging or saving."},
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace the run in output_dir."})
    json: bool = field(default=False, metadata={"help": "Print the results as JSON instead of a table."})
    wait_for_disk: float = field(
        default=120,
        metadata={"help": "Seconds to wait for space when the trained model does not fit on the disk."},
    )
    spare_dir: str | None = field(
        default=None, metadata={"help": "A second folder for the trained model if output_dir's disk is full."}
    )


@dataclass
class WarningSettings:
    """When a run is stopped, and when it warns (`HealthWarnings`)."""

    max_skipped_steps: int = field(
        default=5,
        metadata={"help": "Stop after so many optimizer steps in a row were skipped for NaN or infinity."},
    )
    warn_zero_rewards: int = field(
        default=10, metadata={"help": "Warn after so many rollout batches without any reward; 0: never."}
    )
    warn_zero_gradient: int = field(
        default=5, metadata={"help": "Warn after so many steps with a gradient of exactly 0; 0: never."}
    )
    warn_entropy: float = field(
        default=0.1,
        metadata={"help": "Warn when entropy falls below this share of what the run began with; 0: never."},
    )
    warn_drift: float = field(
        default=0.05,
        metadata={
            "help": "Warn when log-probs of sampler and trainer differ by more on average, in nats; 0: never."
        },
    )
    blind_every: int = field(
        default=25,
        metadata={"help": "Rollout batches between two looks at how much the image matters; 0: never."},
    )
    warn_blind: float = field(
        default=1e-3,
        metadata={
            "help": "Warn when taking the image away moves a token's log-prob by less on average, in nats."
        },
    )


def read_plain_data(settings: Any) -> None:
    """Turn the settings of `PLAIN_DATA` that came as JSON or YAML into what they say.

    Raises:
        UserError: one is neither.
    """
    for name in PLAIN_DATA:
        setattr(settings, name, plain_data(name, getattr(settings, name)))


def data_options(settings: Any) -> dict[str, Any]:
    """The given settings of a run that `tasks.DataOptions` takes."""
    names = [item.name for item in dataclasses.fields(DataOptions) if item.name != "structured_golds"]
    given = {name: getattr(settings, name) for name in names}
    options = {name: value for name, value in given.items() if value is not None}
    rewards = reward_weights(settings.rewards, settings.reward_weights)
    return options | {"structured_golds": not compares_golds(rewards)}
