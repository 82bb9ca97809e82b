"""Every setting of a training run: TRL's `GRPOConfig` under its own names, and a handful of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trl.trainer.grpo_config import GRPOConfig

from ...command_line import plain_data
from .batch_sizes import check_batches
from .hardware import check_machine, check_trackers
from .refused import check_generation_kwargs, check_honoured
from .value_ranges import check_bounds
from .vllm_settings import check_vllm_settings

PLAIN_DATA = ("method_options", "rewards", "task", "columns")
"""Settings that a flag may give as JSON or YAML."""


@dataclass
class TrainConfig(GRPOConfig):
    """`GRPOConfig` plus what Sightline adds. TRL's names, meanings and defaults are untouched, but for
    `logging_steps` (1: metrics.jsonl holds every step)."""

    engine: str = field(
        default="trl", metadata={"help": "The library that trains: trl, or verl with its own --help."}
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
    model: str | None = field(
        default=None, metadata={"help": "Short for model_name_or_path: a folder, a hub id, or `embedded`."}
    )
    freeze_vision: bool = field(
        default=False, metadata={"help": "Leave the vision tower as it is; only the rest is trained."}
    )

    share_prompts: bool = field(
        default=True,
        metadata={
            "help": "Train each prompt once for all its rollouts in a micro-batch; the same numbers, faster."
        },
    )
    shuffle_by: str | None = field(
        default=None,
        metadata={
            "help": "What is shuffled over optimizer steps: each `prompt` with its rollouts (default where"
            " prompts are shared) or each `rollout` alone (default otherwise)."
        },
    )

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
        default=None, metadata={"help": "`papers` (default), `plain`, or a Jinja file."}
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
        default="error", metadata={"help": "`error` at an unusable row before the run starts, or `skip` it."}
    )
    allow_urls: bool = field(
        default=False, metadata={"help": "Fetch images that rows give as public web addresses."}
    )
    streaming: bool = field(
        default=False, metadata={"help": "Read rows one after the other instead of from a cache on disk."}
    )

    credit: str | None = field(
        default=None,
        metadata={
            "help": "On an embedded world: only tokens of this class get an advantage, by its labels: "
            "read, derived, template."
        },
    )
    rewards: dict[str, Any] | str | None = field(
        default="accuracy",
        metadata={
            "help": "What is rewarded: accuracy, mathruler, format, strict_format, file.py:function; several "
            "with commas between (weights in reward_weights) or as a mapping of weights: "
            "{accuracy: 0.9, format: 0.1}."
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
    logging_steps: float = field(default=1, metadata={"help": "Steps between two lines of metrics.jsonl."})

    wait_for_disk: float = field(
        default=120,
        metadata={"help": "Seconds to wait for space when the trained model does not fit on the disk."},
    )
    spare_dir: str | None = field(
        default=None, metadata={"help": "A second folder for the trained model if output_dir's disk is full."}
    )
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

    def __post_init__(self) -> None:
        check_machine(self)
        check_honoured(self)
        check_bounds(self)
        check_batches(self)
        super().__post_init__()
        check_generation_kwargs(self)
        check_vllm_settings(self)
        for name in PLAIN_DATA:
            setattr(self, name, plain_data(name, getattr(self, name)))
        check_trackers(self.report_to)
