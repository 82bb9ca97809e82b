"""The pages against their limits: size, first paint, scrolling, and what `sightline watch` costs.

python benchmarks/pages.py [--smallest] [--rounds 5]

The inspect page holds 200 photographs, two views of each, and 200 answers of 400 tokens, three methods and
five scores; it is opened in headless Chromium (without one, its rows are left out). First paint is the
browser's own paint timing, from the start of the navigation; a frame is what requestAnimationFrame says while
the page scrolls by 120 pixels a frame. Both are wall times, medians over rounds. `watch` follows a file of
100,000 steps; its times are CPU times of the server. "plain" is the limit: 15 MB, 1 s, a frame of 60 Hz
doubled; for `watch`, the 3 s between two questions of an open page.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring import Meter, Row, arguments, report
from PIL import Image

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "integration")]

from browser import BROWSER, Browser  # noqa: E402
from saved_inspection import inspect_data  # noqa: E402
from saved_run import metrics, write_run  # noqa: E402

from sightline.analysis import write_inspection  # noqa: E402
from sightline.analysis.watch import WatchServer  # noqa: E402
from sightline.evaluation.tokens.inspection import image_bytes  # noqa: E402
from sightline.evaluation.tokens.page_images import data_addresses  # noqa: E402

MEGABYTES, PAINT, FRAME, ASKED = 15.0, 1.0, 2 / 60, 3.0
SCROLLED = """new Promise(done => {
  document.documentElement.style.scrollBehavior = "auto";
  const frames = []; let before = null;
  const step = now => {
    if (before !== null) frames.push(now - before);
    before = now;
    scrollBy(0, 120);
    if (frames.length < 200) requestAnimationFrame(step); else done(frames);
  };
  requestAnimationFrame(step); })"""
PAINTED = """new Promise(done => new PerformanceObserver(list => {
  for (const entry of list.getEntriesByName("first-contentful-paint")) done(entry.startTime);
}).observe({type: "paint", buffered: true}))"""


def photograph(side: int, noise: random.Random) -> Image.Image:
    """An image with detail at every scale."""
    small = Image.frombytes("RGB", (side // 8, side // 8), noise.randbytes(3 * (side // 8) ** 2))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def inspect_page(folder: Path, count: int, longest: int) -> Path:
    """A page of `count` problems, with images as large as `sightline inspect` would keep them."""
    data = inspect_data(count, longest, hostile=False)
    noise = random.Random(0)
    photographs = [photograph(640, noise) for _ in range(count)]
    third = image_bytes(count * longest) // 3
    kept = zip(data_addresses(photographs, 2 * third), data_addresses(photographs, third // 2), strict=True)
    for row, (own, view) in zip(data["samples"], kept, strict=True):
        row["images"], row["views"] = [own], {"black": [view], "patches": [view], "text_only": []}
    (folder / "inspect.json").write_text(json.dumps(data))
    return write_inspection(folder)


def opened(page: Path, folder: Path, rounds: int) -> list[Row]:
    """First paint and frames while scrolling, in a browser that is already running."""
    paints, frames, slow = [], [], []
    with Browser(folder / "profile") as browser:
        for _ in range(rounds):
            browser.open("about:blank")
            browser.open(page)
            paints.append(browser.evaluate(PAINTED) / 1000)
            found = sorted(value / 1000 for value in browser.evaluate(SCROLLED))
            frames.append(statistics.median(found))
            slow.append(found[len(found) * 95 // 100])
    measured = (("first paint", paints, PAINT), ("frame while scrolling, median", frames, FRAME),
                ("frame while scrolling, 95 %", slow, FRAME))  # fmt: skip
    return [_row(f"inspect page: {name}", values, limit) for name, values, limit in measured]


def followed(folder: Path, steps: int, rounds: int) -> list[Row]:
    """What the server of `watch` takes to read a run, after a new line, and when nothing was written."""
    run = write_run(folder / "run", steps=steps)
    more = [json.dumps(row) + "\n" for row in metrics(steps + rounds)[steps:]]
    with WatchServer(run, 0) as server:
        first = Meter().seconds(server.page)
        new, none = [], []
        for line in more:
            with (run / "metrics.jsonl").open("a") as file:
                file.write(line)
            new.append(Meter().seconds(server.page))
            none.append(Meter().seconds(server.page))
    measured = (("read once", [first]), ("a new line", new), ("nothing new", none))
    return [_row(f"watch, {steps:,} steps: {name}", values, ASKED) for name, values in measured]


def _row(name: str, values: list[float], limit: float, unit: str = "s") -> Row:
    middle: Any = statistics.median(values)
    return Row(name, middle, limit, middle / limit, unit)


def main() -> None:
    args = arguments(__doc__).parse_args()
    count, longest, steps = (4, 40, 100) if args.smallest else (200, 400, 100_000)
    rounds = 1 if args.smallest else args.rounds
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        page = inspect_page(folder, count, longest)
        rows = [_row(f"inspect page of {count} answers", [page.stat().st_size / 1e6], MEGABYTES, "MB")]
        if BROWSER is not None:
            rows += opened(page, folder, rounds)
        rows += followed(folder, steps, rounds)
    report(args.out / "pages.json", rows, "Pages against their limits")


if __name__ == "__main__":
    main()
