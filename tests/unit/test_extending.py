"""docs/extending.md: its first four lists are followed as they stand; all seven name files that are there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import data_sets
import pytest
import torch
from tiny_models import build, prompts, rollouts

from sightline.evaluation.benchmarks import read_benchmarks
from sightline.evaluation.benchmarks.load import open_benchmark
from sightline.methods import METHODS, method
from sightline.models.scoring.score import score
from sightline.shaping import SHAPINGS, shaping
from sightline.signals import SIGNALS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]}


def block(section: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)
    assert found, f"{section} has no example in {language}"
    return found[1]


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names that the first three lists define, and their rows in the tables, for one test."""
    tables: list[dict[str, Any]] = [SIGNALS, SHAPINGS, METHODS]
    before = [dict(table) for table in tables]
    names: dict[str, Any] = {}
    for section in ("A signal", "A shaping rule", "A method"):
        exec(compile(block(section, "python"), f"docs/extending.md: {section}", "exec"), names)
    yield names
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


def test_the_page_has_seven_lists() -> None:
    assert list(SECTIONS) == [
        "A signal", "A shaping rule", "A method", "A benchmark", "A model family", "An engine", "A page",
    ]  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS)
def test_every_file_that_it_names_is_there(section: str) -> None:
    named = re.findall(r"`((?:src|tests|docs|recipes)/[\w./-]+|pyproject\.toml)`", SECTIONS[section])
    named = [name for name in named if "NAME" not in name]
    assert len(named) > 2
    assert not [name for name in named if not (ROOT / name).exists()]
    assert any(name.startswith("tests/") for name in named), "no test holds it"


def test_every_module_on_the_architecture_page_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    there = {path.name for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py")}
    assert not set(re.findall(r"\b\w+\.py\b", page)) - there
    folders = {path.name for path in (ROOT / "src" / "sightline").rglob("*") if path.is_dir()}
    rooms = page.partition("```\nsrc/sightline/")[2].partition("recipes/ ")[0]
    assert not set(re.findall(r"(?:^|[ ,])(\w+)/(?=[ ,;\n])", rooms)) - folders


def test_a_signal_is_measured_by_the_scoring_pass(followed: dict[str, Any]) -> None:
    needs = method("looked_up").needs
    assert needs.signals == {"hellinger"}
    model, processor = build("qwen2_5_vl")
    batch = rollouts(model, processor, prompts(), 2)
    scores = score(model, processor, batch, needs, seed=0, step=0).signals["hellinger"]
    assert scores.shape == batch.mask.shape
    assert 0 < float(scores.max()) <= 1


def test_a_shaping_rule_is_checked_and_applied(followed: dict[str, Any]) -> None:
    scores, mask = torch.tensor([[0.1, 0.6, 0.2, 9.0]]), torch.tensor([[1, 1, 1, 0]])
    rule = shaping("above_mean", "hellinger", factor=1.0)
    assert rule(scores, mask=mask).tolist() == [[0, 1, 0, 0]]
    with pytest.raises(Exception, match="100"):
        shaping("above_mean", "hellinger", factor=101)


def test_a_method_weighs_tokens(followed: dict[str, Any]) -> None:
    scores, mask = torch.tensor([[0.1, 0.6, 0.2, 9.0]]), torch.tensor([[1, 1, 1, 0]])
    built = method("looked_up", factor=0.5)
    assert built.weights({"hellinger": scores}, mask, [0]).tolist() == [[0, 1, 1, 0]]


def test_a_benchmark_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(data_sets.png(1, 64, 64))
    rows = [{"q": "How many?", "gold": "3", "pic": "a.png", "level": level} for level in ("easy", "hard")]
    (tmp_path / "dots.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "dots.yaml").write_text(block("A benchmark", "yaml"))
    found = open_benchmark("dots", read_benchmarks(tmp_path / "dots.yaml")["dots"])
    assert [item.answer for item in found.items] == ["3", "3"]
    assert [item.labels for item in found.items] == [{"level": "easy"}, {"level": "hard"}]
