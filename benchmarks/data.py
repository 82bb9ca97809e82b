"""How long a run waits for its data, and what it holds in memory: ours against `datasets` alone.

python benchmarks/data.py [--rows 40000] [--kilobytes 75] [--folder FOLDER]

Writes a parquet set in the papers' layout (images of about 75 kB, as ViRL39K has), then reads it in
fresh processes: from the start of Python to a first batch of 32 decoded problems with their messages.
"plain" is `load_dataset`, then indexing; it checks nothing. Each process has an empty cache.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from rich.console import Console
from rich.table import Table

OURS = """
import json, sys, time
from sightline.tasks import load_task
task = load_task(sys.argv[1])
problems = task.train(None, 0)
first = [(task.messages(problem), problem) for problem in problems[:32]]
"""
PLAIN = """
import json, sys, time
import datasets
rows = datasets.load_dataset(sys.argv[1], split="train")
first = rows[:32]
"""
AFTER = """
print(json.dumps({"ready": time.time()}), flush=True)
import random
def held():
    return int(open("/proc/self/status").read().split("RssAnon:")[1].split()[0]) / 1024
before, started = held(), time.perf_counter()
chosen = random.Random(0).sample(range(len(READ)), min(1000, len(READ)))
for number in chosen:
    READ[number]
print(json.dumps({"row": (time.perf_counter() - started) / len(chosen), "grown": held() - before}))
"""


def write_set(folder: Path, rows: int, kilobytes: int) -> None:
    """Noise above, white below, so that files have the wanted size and images the usual one."""
    random = np.random.default_rng(0)
    pool = []
    for _ in range(200):
        width, height = (int(side) for side in random.integers(300, 700, 2))
        pixels = np.full((height, width, 3), 255, np.uint8)
        noisy = min(height, kilobytes * 1000 // (3 * width))
        pixels[:noisy] = random.integers(0, 256, (noisy, width, 3))
        held = io.BytesIO()
        Image.fromarray(pixels).save(held, "PNG", compress_level=1)
        pool.append(held.getvalue())
    kind = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    text = {"dtype": "string", "_type": "Value"}
    images = {"feature": {"_type": "Image"}, "_type": "List"}
    features = {"images": images, "problem": text, "answer": text}
    schema = pa.schema(
        [("images", kind), ("problem", pa.string()), ("answer", pa.string())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    shards = 8
    for shard in range(shards):
        with pq.ParquetWriter(folder / f"train-{shard:05d}-of-{shards:05d}.parquet", schema) as file:
            for start in range(shard * rows // shards, (shard + 1) * rows // shards, 100):
                numbers = range(start, min(start + 100, (shard + 1) * rows // shards))
                pool_images = [[{"bytes": pool[i % 200], "path": None}] for i in numbers]
                texts = [f"<image>Question {i}?" for i in numbers]
                answers = [str(i) for i in numbers]
                file.write_table(pa.table([pa.array(pool_images, kind), texts, answers], schema=schema))


def measure(code: str, read: str, folder: Path) -> dict[str, float]:
    """Seconds to the first batch, seconds a random row takes, and megabytes held after 1,000 of them."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as cache:
        environment = os.environ | {"HF_HOME": cache, "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        started = time.time()
        done = subprocess.run(
            [sys.executable, "-c", code + AFTER.replace("READ", read), str(folder)],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        ready, rest = (json.loads(line) for line in done.stdout.splitlines())
        written = sum(file.stat().st_size for file in Path(cache).rglob("*") if file.is_file())
    return {"first batch": ready["ready"] - started, "random row": rest["row"] * 1e3, "memory": rest["grown"],
            "cache": written / 2**20}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--kilobytes", type=int, default=75, help="size of an encoded image")
    parser.add_argument("--folder", type=Path, help="where the set is written (default: a temporary folder)")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        (work / "set").mkdir()
        write_set(work / "set", args.rows, args.kilobytes)
        measure(OURS, "problems", work / "set")  # the set's pages and the libraries are warm for both
        ours = measure(OURS, "problems", work / "set")
        plain = measure(PLAIN, "rows", work / "set")
    finally:
        shutil.rmtree(work)
    units = {"first batch": "s", "random row": "ms", "memory": "MB grown", "cache": "MB on disk"}
    results = [
        {"name": f"{name}, {args.rows:,} rows", "ours": round(ours[name], 3), "plain": round(plain[name], 3),
         "ratio": round(ours[name] / plain[name], 3) if plain[name] else None, "unit": unit}
        for name, unit in units.items()
    ]  # fmt: skip
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    (out / "data.json").write_text(json.dumps(results, indent=1) + "\n")
    table = Table("", "ours", "plain", "ratio", "unit")
    for row in results:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
