"""One step of the verl engine on the embedded model: scoring and weights against stock verl's step.

.venv-verl/bin/python benchmarks/verl_step.py [--smallest] [--methods vgpo vppo] [--pixels 64 512 1024]

Two FSDP2 ranks on CPUs, 32 prompts x 8 rollouts a step. A worker runs verl's own old-log-prob pass and ours
on the same rollouts, in turns; verl's update is the same in both. "beyond verl's pass" is what scoring and
weights take more than verl's pass and advantages, over all processes, against the update of stock verl's
GRPO step. Then the trainer's process while images of noise grow: the most that it fetches of a batch, and its
peak of memory. Times are CPU times.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from measuring import VERL_NOTES, Row, arguments, report
from PIL import Image

HOOKS = "measuring.verl_processes"
SETTINGS: dict[str, Any] = {
    "engine": "verl", "model": "embedded", "task": "shapes", "n_gpus_per_node": 2, "num_generations": 8,
    "max_completion_length": 40, "max_rounds": 1, "eval_problems": 0, "seed": 0, "use_cpu": "true",
    "bf16": "false", "gradient_checkpointing": "false", "save_strategy": "no", "learning_rate": 1e-6,
    "blind_every": 0,
}  # fmt: skip


def measured(folder: Path, **settings: Any) -> dict[str, list[float]]:
    """What the processes of one run noted, by kind, in order; each process's first step left out."""
    notes = folder / "notes"
    notes.mkdir(parents=True)
    flags = [
        word
        for name, value in (SETTINGS | {"output_dir": folder / "run"} | settings).items()
        for word in (f"--{name}", str(value))
    ]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {"PYTHONPATH": path, "VERL_USE_EXTERNAL_MODULES": HOOKS, VERL_NOTES: str(notes)}
    done = subprocess.run(
        [sys.executable, "-m", "sightline", "train", *flags],
        env=os.environ | variables | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    found: dict[str, list[float]] = defaultdict(list)
    for file in notes.glob("*.jsonl"):
        own: dict[str, list[float]] = defaultdict(list)
        for line in map(json.loads, file.read_text().splitlines()):
            own[line["kind"]].append(line["value"])
        if "peak" not in own:
            own.pop("fetched", None)  # of a worker, which has the images
        for kind, values in own.items():
            found[kind] += values[1:] if kind not in ("fetched", "resident", "peak") else values
    return found


def step_rows(folder: Path, method: str, steps: int, rows: int) -> list[Row]:
    """What scoring and weights take of an update, and the parts of it."""
    found = measured(
        folder, method=method, max_steps=steps + 1, per_device_train_batch_size=rows, limit=32 * (steps + 1)
    )
    ranks = len(found["update"]) // steps
    medians = {kind: statistics.median(values) for kind, values in found.items()}
    weights = medians["advantages"] - medians["verl's advantages"]
    scoring, plain = medians["scoring"] * ranks, medians["verl's pass"] * ranks
    update, more = medians["update"] * ranks, scoring - plain + weights
    return [
        Row(f"{method}: scoring pass, verl's own", scoring, plain, scoring / plain, "s"),
        Row(f"{method}: weights, the update", weights, update, weights / update, "s"),
        Row(f"{method}: beyond verl's pass, the update", more, update, more / update, "s"),
    ]


def memory_rows(folder: Path, sizes: list[int]) -> list[Row]:
    """What the trainer's process holds, against the smallest images."""
    found = {}
    for size in sizes:
        task = noise_task(folder / f"noise-{size}", size)
        found[size] = measured(
            folder / f"run-{size}", method="vgpo", task=task, max_steps=3, per_device_train_batch_size=32
        )
    rows = []
    for size in sizes[1:]:
        for name, kind in (("largest fetch", "fetched"), ("peak memory", "peak")):
            now, least = (max(found[one][kind]) / 2**20 for one in (size, sizes[0]))
            rows.append(
                Row(f"trainer's {name}, {size}² pixels against {sizes[0]}²", now, least, now / least, "MB")
            )
    return rows


def noise_task(folder: Path, size: int) -> str:
    """32 problems whose images are noise, which no PNG makes small, as a task in JSON."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(32):
            pixels = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            row = {
                "question": "how many red circle ?",
                "answer": str(number % 5),
                "images": [f"{number}.png"],
            }
            file.write(json.dumps(row) + "\n")
    return str(folder / "rows.jsonl")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--methods", nargs="*", default=["vgpo", "vppo"])
    parser.add_argument("--pixels", nargs="*", type=int, default=[64, 512, 1024], help="sides of images")
    args = parser.parse_args()
    steps, rows = (1, 8) if args.smallest else (args.rounds, 128)
    sizes = args.pixels[:1] if args.smallest else args.pixels
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for method in args.methods:
            found += step_rows(Path(folder) / method, method, steps, rows)
        if len(sizes) > 1:
            found += memory_rows(Path(folder), sizes)
    report(args.out / "verl_step.json", found, "a step of the verl engine")


if __name__ == "__main__":
    main()
