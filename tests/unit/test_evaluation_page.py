"""The page of results: what it shows, what it leaves out and says so, and that hostile text stays text."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from evaluation_fixtures import generation, item, make_image, results_folder
from PIL import Image
from saved_run import ATTACK

from sightline.analysis.pages.results import write_comparison_page, write_results_page
from sightline.analysis.readers.results_samples import MOST_SAMPLES
from sightline.errors import UserError
from sightline.evaluation.report.comparison import compare, headline
from sightline.evaluation.run.kept_images import LONGEST_SIDE, keep_image
from sightline.evaluation.run.results import write_results
from sightline.run_folder import write_json


def page_of(folder) -> str:
    write_results(folder, "strict")
    return write_results_page(folder.path).read_text()


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    hostile = [
        item(n, ATTACK, question=ATTACK, choices=(ATTACK, "b"), labels={ATTACK: f"{ATTACK}{n}"})
        for n in range(2)
    ]
    answers = [generation(one, f"\\boxed{{{ATTACK}}} \u202e\x00 <!-- {{{{ 7*7 }}}}") for one in hostile]
    answers[1] = generation(hostile[1], None, failed=ATTACK)
    html = page_of(results_folder(tmp_path / "run", hostile, answers, model=ATTACK, backend=ATTACK))
    assert "<img src=x" not in html
    assert "</script>" not in html
    assert html.count("</style>") == 1
    assert "\\u202e" in html
    assert "{{ 7*7 }}" in unescape(html)
    assert "default-src 'none'" in unescape(html)


def test_every_kind_of_sample_is_counted_and_marked(tmp_path: Path) -> None:
    items = [item(0, "4"), item(1, "A"), item(2, "4"), item(3, "4")]
    texts = ["\\boxed{4}", "\\boxed{AB}", "\\boxed{5}", None]
    rows = [generation(o, t) for o, t in zip(items, texts, strict=True)]
    rows += [
        generation(items[0], "\\boxed{4}", view="black"),
        generation(items[2], "\\boxed{7}", view="black"),
    ]
    html = page_of(results_folder(tmp_path, items, rows))
    kinds = re.findall(r'<article class="sample([^"]*)"', html)
    wanted = ["is-right is-blind", "is-wrong is-disagreeing", "is-wrong", "is-failed"]
    assert [kind.strip() for kind in kinds] == wanted
    labels = dict(re.findall(r'id="show-(\w+)"[^>]*>[^<(]*\((\d+)\)', html))
    assert labels == {"all": "4", "wrong": "2", "right": "1", "disagreeing": "1", "blind": "1", "failed": "1"}
    assert "Failed: HTTP 500" in html
    assert "toy: 1 sample failed, neither right nor wrong." in html


def test_a_large_run_shows_a_choice_that_holds_what_is_rare(tmp_path: Path) -> None:
    items = [item(n, "A" if n == 777 else "4") for n in range(1200)]
    rows = [
        generation(one, "\\boxed{AB}" if n == 777 else f"\\boxed{{{4 if n % 3 else 5}}}")
        for n, one in enumerate(items)
    ]
    html = page_of(results_folder(tmp_path, items, rows))
    assert html.count('class="sample') == MOST_SAMPLES
    assert f"{MOST_SAMPLES} of 1200 problems" in html
    assert "toy/777" in html


def test_long_answers_are_cut_and_said(tmp_path: Path) -> None:
    one = item(0)
    html = page_of(
        results_folder(tmp_path, [one], [generation(one, "x" * 7000 + "\\boxed{4}", truncated=True)])
    )
    assert "… and 1009 more characters" in html
    assert "Cut off at the longest answer allowed." in html


def test_images_are_kept_small_and_once(tmp_path: Path) -> None:
    small, large = make_image(1), make_image(2, 900)
    names = [keep_image(tmp_path, image) for image in (small, large, small.copy())]
    assert names[0] == names[2] != names[1]
    assert (names[0].endswith(".png"), names[1].endswith(".jpg")) == (True, True)
    assert len(list(tmp_path.iterdir())) == 2
    with Image.open(tmp_path / names[1]) as kept:
        assert max(kept.size) == LONGEST_SIDE
    with Image.open(tmp_path / names[0]) as kept:
        assert kept.tobytes() == small.tobytes()


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/b.png", "gone.png", "fake.png", "x.svg"])
def test_only_kept_images_are_embedded(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n secret")
    folder = tmp_path / "run"
    (folder / "images").mkdir(parents=True)
    (folder / "images/fake.png").write_bytes(b"<svg onload=alert(1)>")
    (folder / "images/x.svg").write_bytes(b"<svg onload=alert(1)>")
    one = item(0)
    html = page_of(results_folder(folder, [one], [generation(one, "\\boxed{4}", images=[name])]))
    assert "data:image" not in html.replace('href="data:,"', "")
    assert "This image was left out." in html


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value[:1]):
            yield from places(inner, (*path, key))


def damaged(value: Any, path: tuple[Any, ...], change: Any) -> Any:
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if change is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = change
    return value


GONE = object()
CHANGES = (GONE, None, [], {}, "x", -1, float("nan"), True, [[]], {"a": 1})


def test_no_damage_to_results_is_a_traceback(tmp_path: Path) -> None:
    """Every value of results.json, taken away or replaced: a page, or one line that names it."""
    items = [item(0), item(1, "A", choices=("1", "2"))]
    rows = [generation(one, f"\\boxed{{{n + 4}}}", view=view) for n, one in enumerate(items)
            for view in ("sighted", "black")]  # fmt: skip
    folder = results_folder(tmp_path, items, rows)
    write_results(folder, "strict")
    whole = json.loads(folder.results.read_text())
    refused = 0
    for path in places(whole):
        for change in CHANGES:
            folder.results.write_text(json.dumps(damaged(whole, path, change)))
            try:
                write_results_page(folder.path)
            except UserError as error:
                refused += 1
                assert "\n" not in str(error)
                assert "sightline score" in str(error)
    assert refused > 300


def test_no_damage_to_a_comparison_is_a_traceback(tmp_path: Path) -> None:
    runs = []
    for name, said in (("a", "4"), ("b", "5")):
        items = [item(n, labels={"kind": str(n % 2)}) for n in range(4)]
        rows = [generation(one, f"\\boxed{{{said if n else 4}}}") for n, one in enumerate(items)]
        runs.append(results_folder(tmp_path / name, items, rows))
        write_results(runs[-1], "strict")
    found = compare(*runs, "strict")
    target = tmp_path / "comparison.json"
    write_json(target, found)
    assert write_comparison_page(tmp_path).is_file()
    whole = json.loads(target.read_text())
    for path in places(whole):
        for change in CHANGES:
            target.write_text(json.dumps(damaged(whole, path, change)))
            try:
                write_comparison_page(tmp_path)
            except UserError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"protocol": 5}', "[" * 10_000])
def test_a_damaged_results_file_is_one_line_when_runs_are_compared(tmp_path: Path, text: str) -> None:
    folder = results_folder(tmp_path, [item(0)], [generation(item(0), "\\boxed{4}")])
    folder.results.write_text(text)
    with pytest.raises(UserError, match="sightline score"):
        headline(folder, folder, None)


def test_damaged_records_are_left_out_and_said(tmp_path: Path) -> None:
    items = [item(0), item(1)]
    folder = results_folder(tmp_path, items, [generation(one, "\\boxed{4}") for one in items])
    write_results(folder, "strict")
    first, second = folder.generations.read_text().splitlines()
    folder.generations.write_text(f"{first}\n{second[:20]}\n[]\n{json.dumps({'view': 1})}\n")
    html = write_results_page(folder.path).read_text()
    assert "generations.jsonl: 3 lines damaged or none of ours were left out." in html


def test_records_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    one = item(0)
    folder = results_folder(tmp_path / "run", [one], [generation(one, "\\boxed{4} private")])
    write_results(folder, "strict")
    results = json.loads(folder.results.read_text())
    folder.generations.rename(tmp_path / "outside.jsonl")
    for name in ("../outside.jsonl", str(tmp_path / "outside.jsonl")):
        results["files"]["generations"] = name
        folder.results.write_text(json.dumps(results))
        assert "private" not in write_results_page(folder.path).read_text()


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_folder_without_results(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(UserError, match="expected a folder that sightline eval wrote"):
        write_results_page(tmp_path)
