"""Harms two runs again and again, resumes them, and compares them with two that were left alone.

python benchmarks/soak.py [--smallest] [--rounds 40] [--steps 120] [--seed 0]

One run is a single process, the other two ranks. Every round resumes one of them and harms it, both drawn
at random: SIGKILL; SIGKILL while a checkpoint is being written; a full disk (a small tmpfs with no room left,
where this process may mount one, else a limit on the size of files); a file beside the checkpoints cut short;
with two ranks also one rank killed, or suspended. Where a run should end by itself it has to say why in a
line and exit with 1. After every round the newest checkpoint's weights, and at the end the weights and every
logged number, have to be those of the run that was left alone, bit for bit.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measuring import Row, arguments, report
from measuring.processes import Ranks

from sightline.engines.checkpoints import checkpoints, fault, newest_whole

SETTINGS = [
    *("--model", "embedded", "--task", "shapes", "--method", "vgpo", "--limit", "24", "--seed", "5"),
    *("--use_cpu", "--bf16", "false", "--no_gradient_checkpointing", "--eval_problems", "0"),
    *("--steps_per_generation", "2", "--num_iterations", "2", "--num_generations", "4"),
    *("--max_completion_length", "24", "--learning_rate", "1e-4", "--save_steps", "1"),
]
"""Four prompts x four rollouts a batch, which feed four optimizer steps, six batches an epoch."""
ROLLOUTS = 8
"""Of a micro-batch, over all ranks."""
KEPT = 3
"""Checkpoints of the run that is harmed."""
TIME_OUT = 60
"""Seconds that a rank waits for a suspended one; a busy machine may keep it as long from a running one."""
DISK = 160_000_000
"""Bytes of the small disk: a checkpoint takes 12 MB, and two runs keep three each."""
_ENDED = re.compile(r"(?:training stopped|the disk is full).*")


@dataclass
class Harmed:
    """A run that is harmed again and again."""

    folder: Path
    ranks: int
    steps: int
    random: random.Random
    whole: dict[int, str]
    """Step -> what the weights of that step should be, by their hash."""
    disk: Path | None
    """Where it may fill the disk; None where there is no small one."""
    saving: int = 0
    """Kills that left a half-written checkpoint behind."""

    def ways(self) -> dict[str, Callable[[int], str]]:
        """What may happen to it."""
        ways = {
            "killed": lambda goal: self.kill(goal, saving=False),
            "killed while saving": lambda goal: self.kill(goal, saving=True),
            "full disk": self.fill,
            "damaged file": self.damage,
        }
        if self.ranks > 1:
            ways["dead rank"] = lambda goal: self.lose(goal, signal.SIGKILL, "has died")
            ways["suspended rank"] = lambda goal: self.lose(goal, signal.SIGSTOP, "is suspended")
        return ways

    def harm(self, left: int) -> str:
        """Resume the run and harm it in one way, which is returned; raise if that changed its weights."""
        ways = self.ways()
        way = self.random.choice(list(ways))
        print(f"{self.ranks} process{'es' * (self.ranks > 1)}, {way}", end=": ", flush=True)
        before = steps_done(self.folder)
        far = max((self.steps - before) // (left + 2), 1)
        what = ways[way](min(before + self.random.randint(0, far), self.steps - 2))
        last, _ = newest_whole(self.folder)
        step = steps_done(self.folder)
        print(f"{what}, step {step}", flush=True)
        if last is not None and weights_hash(last) != self.whole[int(last.name.split("-")[1])]:
            raise SystemExit(f"{last} is not what it should be")
        return way

    def start(self, *flags: str, **more: int) -> Ranks:
        """The run, going on."""
        kept = ("--save_total_limit", str(KEPT), "--resume", "--force")
        return start(self.folder, self.ranks, self.steps, *kept, *flags, **more)

    def until(self, run: Ranks, goal: int, *, saving: bool = False) -> None:
        """Wait until a step is saved (and the next is being saved), and a moment longer."""
        while steps_done(self.folder) < goal or (saving and not self.is_saving()):
            if run.have_ended():
                return
            time.sleep(0.001)
        time.sleep(0 if saving else self.random.uniform(0, 0.5))

    def kill(self, goal: int, *, saving: bool) -> str:
        """SIGKILL to all of it."""
        run = self.start()
        self.until(run, goal, saving=saving)
        run.kill()
        self.saving += self.is_saving()
        return f"killed{' amid saving' * self.is_saving()}"

    def fill(self, goal: int) -> str:
        """No checkpoint can be written from some step on."""
        if self.disk is None:
            ended_with_a_line(self.start(largest_file=100_000), range(self.ranks), "is full")
            return "no file above 100 kB"
        run = self.start()
        self.until(run, goal)
        if run.have_ended():
            return "it had come to its end"
        ballast = self.disk / "ballast"
        room = self.random.choice([0, self.random.randint(0, 10_000_000)])
        with ballast.open("wb") as file:
            fill_up(file.fileno(), room)
            ended_with_a_line(run, range(self.ranks), "is full")
        ballast.unlink()
        return f"{room:,} bytes left"

    def damage(self, goal: int) -> str:
        """Killed, and a file beside the checkpoints is cut short, if there are any."""
        self.kill(goal, saving=False)
        file = self.folder / self.random.choice(["config.yaml", "metrics.jsonl"])
        if not steps_done(self.folder) or not file.is_file():
            return "nothing to cut yet"
        os.truncate(file, self.random.randint(0, file.stat().st_size - 1))
        return f"{file.name} cut"

    def lose(self, goal: int, sent: signal.Signals, state: str) -> str:
        """One rank is killed or suspended; the others have to say which."""
        run = self.start("--ddp_timeout", str(TIME_OUT))
        self.until(run, goal)
        lost = self.random.randrange(self.ranks)
        if run.have_ended():
            return "it had come to its end"
        began = all(self.has_begun(rank, process.pid) for rank, process in enumerate(run.processes))
        run.processes[lost].send_signal(sent)
        others = [rank for rank in range(self.ranks) if rank != lost]
        words = [f"rank {lost} (process {run.processes[lost].pid}", state] if began else []
        ended_with_a_line(run, others, *words)
        run.kill()
        return f"rank {lost} {state}{'' if began else ' before the run began'}"

    def has_begun(self, rank: int, process: int) -> bool:
        """Whether a rank has said what it does."""
        beat = self.folder / ".ranks" / f"rank-{rank}.json"
        return beat.is_file() and json.loads(beat.read_text())["pid"] == process

    def is_saving(self) -> bool:
        """Whether a checkpoint is half written."""
        return any((self.folder / ".saving").glob("checkpoint-*/*"))


def ended_with_a_line(run: Ranks, ranks: range | list[int], *words: str) -> str:
    """Wait until these ranks end with exit 1 and, between them, one line that holds `words`; the line."""
    errors = run.errors_of(ranks)
    codes = [run.processes[rank].returncode for rank in ranks]
    said = _ENDED.findall(errors)
    if set(codes) != {1} or "Traceback" in errors or not any(all(w in line for w in words) for line in said):
        run.kill()
        raise SystemExit(f"ended with {codes}, wanted 1 and a line with {words}:\n{errors}")
    return said[0]


def fill_up(descriptor: int, room: int) -> None:
    """Grow a file until its disk has `room` bytes left."""
    disk = os.fstatvfs(descriptor)
    size = disk.f_bavail * disk.f_frsize - room
    if size > 0:
        os.posix_fallocate(descriptor, 0, size)


def start(folder: Path, ranks: int, steps: int, *more: str, largest_file: int | None = None) -> Ranks:
    """A run; no file of it grows above `largest_file` bytes."""
    sizes = ["--max_steps", str(steps), "--output_dir", str(folder)]
    batch = ["--per_device_train_batch_size", str(ROLLOUTS // ranks)]
    limit = None
    if largest_file is not None:
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))  # noqa: E731
    return Ranks(["-m", "sightline", "train", *SETTINGS, *batch, *sizes, *more], ranks, limit)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of `DISK` bytes at a new folder; None where this process may not mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


def soak(rounds: int, steps: int, seed: int, folder: Path) -> list[Row]:
    """Two runs without a stop, and two with `rounds` of harm between them; the comparison."""
    drawn = random.Random(seed)
    ways: Counter[str] = Counter()
    started = time.perf_counter()
    whole = {ranks: in_peace(folder / f"whole-{ranks}", ranks, steps) for ranks in (1, 2)}
    alone = time.perf_counter() - started
    with small_disk(folder / "disk") as disk:
        runs = [Harmed(folder / "disk" / f"harmed-{n}", n, steps, drawn, whole[n], disk) for n in (1, 2)]
        for run in runs:
            run.folder.mkdir()
        turns = [drawn.choice(runs) for _ in range(rounds)]
        for number, run in enumerate(turns):
            print(f"{number + 1}/{rounds} ", end="")
            ways[run.harm(turns[number + 1 :].count(run))] += 1
        weights, lines = 0, 0
        for run in runs:
            run.start().finish()
            peace = folder / f"whole-{run.ranks}"
            weights += final_weights(run.folder) != final_weights(peace)
            lines += sum(a != b for a, b in zip(metrics(run.folder), metrics(peace), strict=True))
    total = time.perf_counter() - started - alone
    print(dict(ways))
    saving = sum(run.saving for run in runs)
    return [
        Row(
            f"runs of 2 whose final weights differ after {rounds} rounds", weights, 0, float(not weights), ""
        ),
        Row(f"lines of metrics.jsonl that differ, of {2 * steps}", lines, 0, not lines, ""),
        Row("kills that hit a checkpoint being written", saving, 0, saving / rounds, ""),
        *(Row(f"rounds with: {way}", count, 0, count / rounds, "") for way, count in sorted(ways.items())),
        Row(f"twice {steps} steps, with the harm and without", total, alone, total / alone, "s"),
    ]


def in_peace(folder: Path, ranks: int, steps: int) -> dict[int, str]:
    """Run without a stop; step -> the hash of its weights."""
    start(folder, ranks, steps).finish()
    return {int(path.name.split("-")[1]): weights_hash(path) for path in checkpoints(folder)}


def weights_hash(checkpoint: Path) -> str:
    """The SHA-256 of a whole checkpoint's weights."""
    if why := fault(checkpoint):
        raise SystemExit(f"{checkpoint}: {why}")
    return json.loads((checkpoint / "manifest.json").read_text())["files"]["model.safetensors"]["sha256"]


def steps_done(folder: Path) -> int:
    """The newest checkpoint's step."""
    return max((int(path.name.split("-")[1]) for path in folder.glob("checkpoint-*")), default=0)


def final_weights(folder: Path) -> bytes:
    """What the run left in model/."""
    return (folder / "model" / "model.safetensors").read_bytes()


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
    rounds, steps = (2, 12) if args.smallest else (args.rounds, args.steps)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        rows = soak(rounds, steps, args.seed, Path(folder))
    report(
        args.out / "soak.json",
        rows,
        f"Two runs of {steps} steps, harmed {rounds} times and resumed, against the same in peace",
    )
    return 0 if rows[0].ours == rows[1].ours == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
