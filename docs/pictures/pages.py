"""Takes the pictures of the pages: `python docs/pictures/pages.py RUN [RUN ...]`, with chromium installed.

RUN are finished runs of the embedded model, several seeds and methods of them for the comparison. The first
one gives the report, the page of `watch` (as it stood two thirds of the way) and the model that is inspected.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "integration"))

from browser import Browser  # noqa: E402

from sightline.analysis import write_comparison, write_report  # noqa: E402
from sightline.analysis.watch import WatchServer  # noqa: E402
from sightline.cli import main  # noqa: E402

COLOURS = 96


def shoot(browser: Browser, name: str) -> None:
    """The window as a small PNG."""
    browser.evaluate("Promise.all([...document.images].filter(i => i.complete).map(i => i.decode()))")
    path = browser.screenshot(HERE / f"{name}.png", whole=False)
    with Image.open(path) as shot:
        small = shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(path.name, path.stat().st_size)


def show(browser: Browser, selector: str, above: int = 20) -> None:
    """Scroll so that an element stands a little below the window's edge."""
    top = browser.evaluate(f"document.querySelector('{selector}').getBoundingClientRect().top + scrollY")
    browser.evaluate(f"scrollTo({{top: {top - above}, behavior: 'instant'}})")


def inspect(browser: Browser, run: Path, folder: Path) -> None:
    """The chosen token is the one of the first bar chart that depends most on the picture."""
    flags = ["--limit", "24", "--occlusion", "3", "--attention", "--max_new_tokens", "40"]
    main(["inspect", str(run / "model"), *flags, "--output_dir", str(folder)])
    data = json.loads((folder / "inspect.json").read_text())
    told = [sample["answers"][0] for sample in data["samples"]]
    kls = [one["scores"]["exact_kl/black"] for one in told]
    kinds = [sample["kind"] for sample in data["samples"]]
    chosen = max(
        range(len(told) - 8),  # with enough below to scroll it to the top
        key=lambda row: (kinds[row] == "bar chart", len(told[row]["tokens"]) > 14, max(kls[row])),
    )
    token = kls[chosen].index(max(kls[chosen]))
    place = f".strip[data-answer='{chosen}'] .t"
    page = folder / "inspect.html"
    for name, width, height, scheme, shading in (
        ("inspect", 1280, 820, "light", "score-a"),
        ("inspect-weights", 1280, 820, "light", "score-h"),
        ("inspect-dark", 1280, 820, "dark", "score-a"),
        ("inspect-narrow", 360, 780, "dark", "score-a"),
    ):
        browser.open(page, width=width, height=height, scheme=scheme)
        browser.evaluate(f"document.getElementById('{shading}').click()")
        for _ in range(2):  # articles take their real height when they come into view
            show(browser, f"article:nth-of-type({chosen + 1})", 170 if width > 400 else 0)
        x, y = browser.evaluate(
            f"(b => [b.x + b.width / 2, b.y + b.height / 2])(document.querySelectorAll(`{place}`)[{token}]"
            ".getBoundingClientRect())"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        shoot(browser, name)


def watch(browser: Browser, run: Path, folder: Path) -> None:
    """The run as it stood two thirds of the way."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("model", "*.html", "checkpoint*"))
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    kept = 2 * len(lines) // 3
    (folder / "metrics.jsonl").write_text("".join(lines[:kept]))
    saved = json.loads((run / "eval.json").read_text())
    (folder / "eval.json").write_text(json.dumps({"before": saved["before"]}))
    for path in (folder / "completions").glob("*.parquet"):
        if int(path.stem.split("_")[1]) > kept:
            path.unlink()
    with WatchServer(folder, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.open(server.address, width=1200, height=900)
        shoot(browser, "watch")
        browser.open("about:blank")
        server.shutdown()


def report(browser: Browser, run: Path) -> None:
    browser.open(write_report(run), width=1200, height=900)
    shoot(browser, "report")
    show(browser, "#problems")
    shoot(browser, "report-problems")


def compare(browser: Browser, runs: list[Path], folder: Path) -> None:
    browser.open(write_comparison(runs, folder / "comparison.html"), width=1200, height=1000)
    show(browser, "#accuracy")
    shoot(browser, "comparison")
    show(browser, "#training")
    shoot(browser, "comparison-curves")


def figures(folder: Path) -> None:
    """Three of the figures of the inspection, side by side with the curves left out."""
    main(["figures", str(folder / "inspect"), "--output_dir", str(folder / "figures")])
    for name in ("dependency-mass", "over-progress", "word-classes", "attention"):
        with Image.open(folder / "figures" / f"{name}.png") as drawn:
            drawn.thumbnail((1000, 1000), Image.Resampling.LANCZOS)
            small = drawn.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(HERE / f"figure-{name}.png", optimize=True)


if __name__ == "__main__":
    runs = [Path(word) for word in sys.argv[1:]]
    if not runs:
        sys.exit(f"usage: {Path(__file__).name} RUN [RUN ...]")
    with tempfile.TemporaryDirectory() as made, Browser(Path(made) / "profile") as browser:
        inspect(browser, runs[0], Path(made) / "inspect")
        figures(Path(made))
        watch(browser, runs[0], Path(made) / runs[0].name)
        report(browser, runs[0])
        compare(browser, runs, Path(made))
