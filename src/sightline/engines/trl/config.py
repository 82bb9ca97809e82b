"""Every setting of a training run: TRL's `GRPOConfig` under its own names, and a handful of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml
from trl.trainer.grpo_config import GRPOConfig


@dataclass
class TrainConfig(GRPOConfig):
    """`GRPOConfig` plus what Sightline adds. TRL's names, meanings and defaults are untouched, but for
    `logging_steps` (1: metrics.jsonl holds every step)."""

    method: str = field(
        default="vgpo", metadata={"help": "How tokens are credited: grpo, vgpo, vppo, pgpo, ..."}
    )
    method_options: dict[str, Any] | str | None = field(
        default=None, metadata={"help": 'Options of the method, a mapping: {"strength": 0.3}.'}
    )
    model: str | None = field(
        default=None, metadata={"help": "Short for model_name_or_path: a folder, a hub id, or `embedded`."}
    )
    task: str = field(default="shapes", metadata={"help": "What is trained on."})
    limit: int | None = field(default=None, metadata={"help": "Use only the first N training problems."})
    eval_problems: int = field(
        default=512, metadata={"help": "Held-out problems measured before and after; 0 leaves both out."}
    )
    report_problems: int = field(default=12, metadata={"help": "Held-out problems shown in report.html."})
    resume: bool = field(
        default=False, metadata={"help": "Continue the run in output_dir from its last checkpoint."}
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace the run in output_dir."})
    json: bool = field(default=False, metadata={"help": "Print the results as JSON instead of a table."})
    logging_steps: float = field(default=1, metadata={"help": "Steps between two lines of metrics.jsonl."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.method_options, str):
            self.method_options = yaml.safe_load(self.method_options)
