"""Short trainings of the embedded model: two prompts x four rollouts feed four optimizer steps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sightline.engines import Trained
from sightline.engines.trl.engine import train
from sightline.engines.trl.settings.resolve import Settings, parse
from sightline.models.loading import load_model
from sightline.run_folder import FolderLock, RunFolder
from sightline.tasks import ShapesTask

PROBLEMS = 6
"""Three rollout batches an epoch, so twelve optimizer steps."""

FLAGS = [
    *("--model", "embedded", "--use_cpu", "--bf16", "false", "--no_gradient_checkpointing", "--seed", "3"),
    *("--per_device_train_batch_size", "4", "--steps_per_generation", "2", "--num_iterations", "2"),
    *("--num_generations", "4", "--max_completion_length", "24", "--learning_rate", "1e-3"),
    *("--max_steps", "14", "--save_steps", "1", "--limit", str(PROBLEMS), "--eval_problems", "0"),
]


def flags(folder: Path, *more: str) -> list[str]:
    """The command line of a short run."""
    return [*FLAGS, "--output_dir", str(folder), *more]


def settings(folder: Path, *more: str) -> Settings:
    """The settings of a short run."""
    return parse(flags(folder, *more))


def run(folder: Path, *more: str, said: list[str] | None = None) -> Trained:
    """Train in this process, as `sightline train` does it."""
    chosen = settings(folder, *more)
    folder.mkdir(parents=True, exist_ok=True)
    task = ShapesTask()
    loaded = load_model("embedded", torch.float32)
    problems = task.train(chosen.train.limit, chosen.train.seed)
    say = (said if said is not None else []).append
    return train(chosen, loaded, task, problems, RunFolder(folder), say)


def restart(whole: Path, step: int, folder: Path) -> Path:
    """A run folder as a crash after checkpoint `step` leaves it, with a line too many in its metrics."""
    folder.mkdir()
    FolderLock(folder).close()
    shutil.copytree(whole / f"checkpoint-{step}", folder / f"checkpoint-{step}")
    lines = (whole / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[: step + 1]) + '{"step": ')
    return folder


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, without their times."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    """The trained weights by name."""
    return {name: value.detach().clone() for name, value in trained.model.model.state_dict().items()}


def environment() -> dict[str, str]:
    """One thread, no chatter."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


def start(*argv: str, limit_file_size: int | None = None) -> subprocess.Popen[str]:
    """`sightline train` as a process of its own."""
    code = "import sys; from sightline.cli import main; sys.exit(main(['train', *sys.argv[1:]]))"
    if limit_file_size is not None:
        limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_file_size}, {limit_file_size}))"
        code = f"import resource; {limit}; {code}"
    command = [sys.executable, "-c", code, *argv]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )


def finish(process: subprocess.Popen[str], seconds: float = 240) -> tuple[int, str]:
    """Exit code and standard error; a process that does not end is killed."""
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, errors


def kill_when(process: subprocess.Popen[str], condition: Callable[[], bool], seconds: float = 240) -> None:
    """SIGKILL as soon as `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "the moment to kill never came"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
