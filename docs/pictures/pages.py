"""Takes the images of the pages: `python docs/pictures/pages.py RUN [RUN ...]`, with chromium installed.

RUN are finished runs of the embedded model, several seeds and methods of them for the comparison. The first
one gives the report, the page of `watch` (as it stood two thirds of the way), and the model that is inspected
and evaluated. Rollouts stand on the page of `watch` if the run was trained with `--log_completions true`.
"""

from __future__ import annotations

import contextlib
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
from sightline.tasks import ShapesTask  # noqa: E402

COLOURS = 256
WIDE, NARROW = (1280, 860), (360, 780)


def smaller(image: Image.Image, name: str) -> None:
    """A PNG of few colours."""
    path = HERE / f"{name}.png"
    image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path.name, path.stat().st_size)


def shoot(browser: Browser, name: str) -> None:
    """The window as it stands, with the images that are in it."""
    browser.evaluate("""Promise.all([...document.images].filter(i => {
      const box = i.getBoundingClientRect(); return box.top < innerHeight && box.bottom > 0;
    }).map(i => { i.loading = "eager"; return i.decode(); }))""")
    path = browser.screenshot(HERE / f"{name}.png", whole=False)
    with Image.open(path) as shot:
        smaller(shot, name)


def show(browser: Browser, selector: str, above: int = 20) -> None:
    """Scroll so that an element stands a little below the window's edge."""
    for _ in range(3):  # what comes into view may take its real height only then
        top = browser.evaluate(f"document.querySelector({selector!r}).getBoundingClientRect().top + scrollY")
        browser.evaluate(f"scrollTo({{top: {top - above}, behavior: 'instant'}})")


def inspect(browser: Browser, run: Path, folder: Path) -> None:
    """The chosen token is the one of the first bar charts that depends most on the image."""
    flags = ["--limit", "24", "--occlusion", "all", "--attention", "--max_new_tokens", "40"]
    main(["inspect", str(run / "model"), *flags, "--output_dir", str(folder)])
    samples = json.loads((folder / "inspect.json").read_text())["samples"]
    kls = [sample["answers"][0]["scores"]["exact_kl/black"] for sample in samples]
    chosen = max(
        range(len(samples) - 8),  # with enough below to scroll it to the top
        key=lambda row: (samples[row]["kind"] == "bar chart", len(kls[row]) > 14, max(kls[row])),
    )
    token = kls[chosen].index(max(kls[chosen]))
    browser.open(folder / "inspect.html", width=WIDE[0], height=WIDE[1])
    shoot(browser, "inspect-top")
    for name, (width, height), scheme, shading in (
        ("inspect", WIDE, "light", "score-a"),
        ("inspect-weights", WIDE, "light", "score-h"),
        ("inspect-dark", WIDE, "dark", "score-a"),
        ("inspect-narrow", NARROW, "dark", "score-a"),
    ):
        browser.open(folder / "inspect.html", width=width, height=height, scheme=scheme)
        browser.evaluate(f"document.getElementById('{shading}').click()")
        show(browser, f"article:nth-of-type({chosen + 1})", 124 if width > 400 else 0)
        x, y = browser.evaluate(
            "(b => [b.x + b.width / 2, b.y + b.height / 2])(document.querySelectorAll("
            f"\"[data-answer='{chosen}'] .t\")[{token}].getBoundingClientRect())"
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
        browser.open(server.address, width=WIDE[0], height=WIDE[1])
        shoot(browser, "watch")
        show(browser, "#completions")
        shoot(browser, "watch-rollouts")
        browser.open("about:blank")
        server.shutdown()


def report(browser: Browser, run: Path) -> None:
    page = write_report(run)
    browser.open(page, width=WIDE[0], height=WIDE[1])
    shoot(browser, "report")
    show(browser, "#problems")
    shoot(browser, "report-problems")
    browser.open(page, width=NARROW[0], height=NARROW[1], scheme="dark")
    show(browser, "#accuracy")
    shoot(browser, "report-narrow")


def compare(browser: Browser, runs: list[Path], folder: Path) -> None:
    browser.open(
        write_comparison(runs, folder / "comparison.html"), width=WIDE[0], height=WIDE[1], scheme="dark"
    )
    show(browser, "#accuracy")
    shoot(browser, "comparison")
    show(browser, "#training")
    shoot(browser, "comparison-curves")


def figures(folder: Path) -> None:
    """Some of the figures of the inspection."""
    main(["figures", str(folder / "inspect"), "--output_dir", str(folder / "figures")])
    for name in ("dependency-mass", "over-progress", "word-classes", "attention"):
        with Image.open(folder / "figures" / f"{name}.png") as drawn:
            drawn.thumbnail((1000, 1000), Image.Resampling.LANCZOS)
            smaller(drawn, f"figure-{name}")


def evaluations(browser: Browser, run: Path, folder: Path) -> None:
    """The trained model's results, and the paired comparison with the model it began as."""
    for name, model in (("before", "embedded"), ("after", str(run / "model"))):
        flags = ["--benchmarks", "shapes", "--blind", "black", "--limit", "128"]
        main(["eval", model, *flags, "--output_dir", str(folder / name)])
    main(["compare", str(folder / "before"), str(folder / "after"), "--output_dir", str(folder / "paired")])
    for name, shot in (("after", "results"), ("paired", "results-compared")):
        browser.open(folder / name / "report.html", width=WIDE[0], height=WIDE[1])
        shoot(browser, shot)


def preview(browser: Browser, folder: Path) -> None:
    """Some problems of the embedded world as a set of rows on the disk."""
    (folder / "my_set" / "pictures").mkdir(parents=True)
    rows = []
    for number, problem in enumerate(ShapesTask().test(6, 0)):
        name = f"pictures/{number}.png"
        problem.images[0].resize((256, 256), Image.Resampling.NEAREST).save(folder / "my_set" / name)
        rows.append({"image": name, "question": problem.question, "answer": problem.answer})
    (folder / "my_set" / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with contextlib.chdir(folder):
        main(["data", "preview", "my_set/rows.jsonl", "--output", "preview.html"])
    browser.open(folder / "preview.html", width=WIDE[0], height=WIDE[1])
    shoot(browser, "preview")


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
        evaluations(browser, runs[0], Path(made))
        preview(browser, Path(made))
