"""What rows say: options, numbered images, golds as letters; a user's benchmarks from YAML; the suites."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import UserError
from sightline.evaluation.benchmarks import BENCHMARKS, SUITES, benchmark, read_benchmarks, suite
from sightline.evaluation.benchmarks.locate import under
from sightline.evaluation.benchmarks.row import letter, numbered, options
from sightline.rewards import PROTOCOLS


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        (["3", "4"], ("3", "4")),
        ("['1', '2']", ("1", "2")),
        ('["1", "it\'s"]', ("1", "it's")),
        ("['it\\'s', \"a, b\", 'c]']", ("it's", "a, b", "c]")),
        ("['$1,000', '\\\\frac{1}{2}']", ("$1,000", "\\frac{1}{2}")),
        ("[1, 2.5]", ("1", "2.5")),
        ("A. 45°; B. 60°; C. No correct answer", ("45°", "60°", "No correct answer")),
        ("(A) one\n(B) two", ("one", "two")),
        ("A：甲；B：乙", ("甲", "乙")),
        ("A. a lone letter", ()),
        ("A. one; C. three", ()),
        ("just text", ()),
        ("['unclosed", ()),
        ("[__import__('os').system('x')]", ()),
        (None, ()),
        ("", ()),
    ],
)
def test_options_are_read_and_never_evaluated(cell, values) -> None:
    assert options(cell) == values


def test_long_lists_of_options_take_linear_time() -> None:
    assert options("[" + "'a" * 200_000) == ()
    assert options("[" * 5_000 + "]" * 5_000) == ()
    assert len(options("[" + ", ".join(["'x'"] * 20_000) + "]")) == 20_000


def test_images_stand_where_they_are_first_named() -> None:
    shown = ["p1", "p2", None]
    assert numbered("<image 2> then <image1>?", shown) == ("<image> then <image>?", ["p2", "p1"])
    assert numbered("<image 1>, <image 1> again", ["p1"]) == ("<image>, <image 1> again", ["p1"])
    assert numbered("<image 3> is missing, <image 1>", shown) == ("<image 3> is missing, <image>", ["p1"])
    assert numbered("no mention", ["p1", "p2"]) == ("no mention", ["p1", "p2"])
    assert numbered("<image>plain", ["p1"]) == ("<image>plain", ["p1"])


def test_a_gold_that_is_one_choice_s_text_becomes_its_letter() -> None:
    assert letter("145°", ["135°", "145°"]) == "B"
    assert letter("7", ["7", "7"]) == "7"
    assert letter("free", ["a", "b"]) == "free"


def test_paths_of_published_sets_are_found_in_a_copy_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "data/images/a").mkdir(parents=True)
    (tmp_path / "data/images/a/1.png").touch()
    for written in ("./data/images/a/1.png", "images/a/1.png", "a/1.png", "data/images/a/1.png"):
        assert under(tmp_path, written) == "data/images/a/1.png"
    assert under(tmp_path, "../secret.png") == "../secret.png"
    assert under(tmp_path, b"bytes") == b"bytes"
    assert under(None, "a/1.png") == "a/1.png"


YAML = """
mine:
  source: rows.jsonl
  rows: 2
  columns: {question: problem, answer: gold, images: image, choices: options, cluster: family}
  labels: {difficulty: level}
  only: {language: en}
  max_new_tokens: 99
"""


def test_a_user_s_benchmark(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    file = tmp_path / "mine.yaml"
    file.write_text(YAML)
    found = read_benchmarks(file)["mine"]
    assert Path(found.source) == tmp_path / "rows.jsonl"
    assert (found.rows, found.max_new_tokens) == (2, 99)
    assert set(found.columns) == {"problem", "gold", "image", "options", "family", "level", "language"}
    row = {"problem": "Q?", "gold": 4, "image": b"x", "options": ["3", "4"], "family": 7, "level": "hard"}
    asked = found.read({**row, "language": "en"})
    assert asked is not None
    assert (asked.question, asked.answer, asked.choices) == ("Q?", "4", ("3", "4"))
    assert (asked.cluster, dict(asked.labels)) == ("7", {"difficulty": "hard"})
    assert found.read({**row, "language": "de"}) is None
    assert benchmark("mine", {"mine": found}) is found


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no benchmarks"),
        ("- a", "holds no benchmarks"),
        ("a: [", "cannot read the benchmarks"),
        ("a: {columns: {}}", "needs `source"),
        ("a: {source: x, columns: {question: q}}", "which column holds the answer"),
        (
            "a: {source: x, colums: {question: q}}",
            "unknown key of benchmark a: 'colums': did you mean columns",
        ),
        ("a: {source: x, columns: {question: q, answer: a, photos: p}}", "unknown role in columns"),
        ("a: {source: x, rows: many, columns: {question: q, answer: a}}", "rows of benchmark a must be"),
        ("a: {source: x, rows: 0, columns: {question: q, answer: a}}", "rows of benchmark a must be"),
        ("a: {source: x, split: 1, columns: {question: q, answer: a}}", "split of benchmark a must be text"),
        (
            "a: {source: x, rule: near, columns: {question: q, answer: a}}",
            "unknown rule of benchmark a",
        ),
        (
            "a: {source: x, relative_tolerance: 0.1, columns: {question: q, answers: a}}",
            "several answers, of which none gives the relative_tolerance",
        ),
        ("a: {source: x, paired: pair, columns: {question: q, answer: a}}", "paired of benchmark a must map"),
        ("a: {source: x, labels: [b], columns: {question: q, answer: a}}", "labels of benchmark a must map"),
    ],
)
def test_a_user_s_mistakes_are_named(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=says):
        read_benchmarks(file)


def test_unknown_names_give_the_nearest() -> None:
    with pytest.raises(UserError, match="mathvista"):
        benchmark("mathvist")
    with pytest.raises(UserError, match="did you mean vgpo"):
        suite("vgop")


def test_suites_name_benchmarks_and_protocols_that_exist() -> None:
    for name, chosen in SUITES.items():
        assert all(one in BENCHMARKS for one in chosen.benchmarks), name
        assert chosen.protocol in PROTOCOLS
        assert (chosen.samples > 1) == (chosen.temperature > 0)
        assert len(set(chosen.benchmarks)) == len(chosen.benchmarks)


def test_the_table_says_where_every_part_lies() -> None:
    for name, found in BENCHMARKS.items():
        assert found.drawn or (found.splits and found.columns), name
        assert all(split.name and split.files for split in found.splits), name
        assert found.rows is not None or found.note, name


def test_the_docs_name_every_benchmark_and_every_suite() -> None:
    docs = (Path(__file__).parents[2] / "docs/evaluation.md").read_text()
    assert [name for name in BENCHMARKS if f"`{name}`" not in docs] == []
    for name, chosen in SUITES.items():
        row = next(line for line in docs.splitlines() if line.startswith(f"| `{name}` |"))
        assert row.split("|")[2].strip() == ", ".join(chosen.benchmarks)
        assert row.split("|")[4].strip() == chosen.protocol
