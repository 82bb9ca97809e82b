"""Harms a run again and again, resumes it, and compares it with one that was left alone.

python benchmarks/soak.py [--smallest] [--rounds 40] [--steps 120] [--seed 0]

Every round resumes the run and harms it in a way drawn at random: SIGKILL, SIGKILL while a checkpoint is
being written, a full disk (no file may grow above 100 kB), SIGKILL and a damaged file beside the
checkpoints. A dead rank is not among them (tests/integration/test_distributed_lost_rank.py). At the end
the weights and every logged number have to be those of the uninterrupted run, bit for bit.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from measuring import Row, arguments, report
from safetensors.torch import load_file

SETTINGS = [
    *("--model", "embedded", "--task", "shapes", "--method", "vgpo", "--limit", "24", "--seed", "5"),
    *("--use_cpu", "--bf16", "false", "--no_gradient_checkpointing", "--eval_problems", "0"),
    *("--per_device_train_batch_size", "8", "--steps_per_generation", "2", "--num_iterations", "2"),
    *("--num_generations", "4", "--max_completion_length", "24", "--learning_rate", "1e-4"),
    *("--save_steps", "1", "--save_total_limit", "3"),
]
"""Four prompts x four rollouts a batch, which feed four optimizer steps, six batches an epoch."""


@dataclass
class Killed:
    """A run that is killed again and again."""

    folder: Path
    steps: int
    random: random.Random
    saving: int = 0
    """Kills that left a half-written checkpoint behind."""

    def harm(self, left: int) -> None:
        """Resume the run and harm it in one way."""
        way = self.random.choice(["kill", "kill while saving", "full disk", "damage"])
        print(way, end=": ", flush=True)
        if way == "full disk":
            self.fill()
        else:
            self.kill(left, saving=way == "kill while saving")
        if way == "damage":
            self.damage()

    def fill(self) -> None:
        """Resume the run where no checkpoint can be written: it has to say so and end with exit 1."""
        process = start(self.folder, self.steps, "--resume", largest_file=100_000)
        errors = process.communicate()[1].decode()
        if process.returncode != 1 or "Traceback" in errors:
            raise SystemExit(f"a full disk ended the run with {process.returncode}:\n{errors[-3000:]}")
        print(f"ended at step {steps_done(self.folder)}", flush=True)

    def damage(self) -> None:
        """Cut a file beside the checkpoints short, if there are any."""
        file = self.folder / self.random.choice(["config.yaml", "metrics.jsonl"])
        if steps_done(self.folder) and file.is_file():
            os.truncate(file, self.random.randint(0, file.stat().st_size - 1))
            print(f"{file.name} cut", flush=True)

    def kill(self, kills_left: int, *, saving: bool) -> None:
        """Resume the run, let it go on for a while, and kill it."""
        process = start(self.folder, self.steps, "--resume")
        before = steps_done(self.folder)
        far = max((self.steps - before) // (kills_left + 1), 1)
        reach = before + self.random.randint(0, far)
        while steps_done(self.folder) < reach or (saving and not self.is_saving()):
            if process.poll() is not None:
                raise SystemExit(f"the run ended by itself:\n{process.communicate()[1].decode()[-3000:]}")
            time.sleep(0.001)
        time.sleep(0 if saving else self.random.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.saving += self.is_saving()
        print(f"killed at step {steps_done(self.folder)}{', saving' if self.is_saving() else ''}", flush=True)

    def is_saving(self) -> bool:
        """Whether a checkpoint is half written."""
        return any((self.folder / ".saving").glob("checkpoint-*/*"))


def start(folder: Path, steps: int, *more: str, largest_file: int | None = None) -> subprocess.Popen[bytes]:
    """The run as a process of its own; no file of it grows above `largest_file` bytes."""
    sizes = ["--max_steps", str(steps), "--output_dir", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-m", "sightline", "train", *SETTINGS, *sizes, *more],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=None
        if largest_file is None
        else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file)),
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run that should end well."""
    errors = process.communicate()[1].decode()
    if process.returncode:
        raise SystemExit(f"the run failed:\n{errors[-3000:]}")


def soak(kills: int, steps: int, seed: int, folder: Path) -> list[Row]:
    """Run once without a stop and once with `kills` of them; the comparison."""
    started = time.perf_counter()
    finish(start(folder / "whole", steps))
    alone = time.perf_counter() - started
    killed = Killed(folder / "killed", steps, random.Random(seed))
    killed.folder.mkdir()
    for number in range(kills):
        killed.harm(kills - number)
    finish(start(killed.folder, steps, "--resume"))
    total = time.perf_counter() - started - alone
    weights, plain = final_weights(killed.folder), final_weights(folder / "whole")
    apart = max(float((weights[name] - plain[name]).abs().max()) for name in plain)
    lines = sum(
        mine != other for mine, other in zip(metrics(killed.folder), metrics(folder / "whole"), strict=True)
    )
    return [
        Row(f"largest difference of a weight after {kills} rounds", apart, 0.0, float(apart == 0), "1"),
        Row(f"lines of metrics.jsonl that differ, of {steps}", lines, 0.0, float(lines == 0), "lines"),
        Row("kills that hit a checkpoint being written", killed.saving, 0.0, killed.saving / kills, "kills"),
        Row(f"{steps} steps, with the harm and without", total, alone, total / alone, "s"),
    ]


def steps_done(folder: Path) -> int:
    """The newest checkpoint's step."""
    return max((int(path.name.split("-")[1]) for path in folder.glob("checkpoint-*")), default=0)


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    """What the run left in model/."""
    return load_file(folder / "model" / "model.safetensors")


def metrics(folder: Path) -> list[dict[str, object]]:
    """Every logged number but the times."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def main() -> int:
    """Soak and print the comparison; 1 if anything differs."""
    parser = arguments(__doc__)
    parser.set_defaults(rounds=40)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    kills, steps = (2, 12) if args.smallest else (args.rounds, args.steps)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        rows = soak(kills, steps, args.seed, Path(folder))
    report(
        args.out / "soak.json",
        rows,
        f"A run of {steps} steps, harmed {kills} times and resumed, against the same run in peace",
    )
    return 0 if rows[0].ours == rows[1].ours == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
