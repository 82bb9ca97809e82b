"""The tables of docs/performance.md are those of docs/measured.json, and say what was reached."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "measuring" / "page.py"))


def row(name: str, ours: float, plain: float, unit: str = "s") -> dict[str, Any]:
    return {"name": name, "ours": ours, "plain": plain, "ratio": ours / plain, "unit": unit}


def test_the_page_shows_what_was_measured(script: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    measured = json.loads((ROOT / "docs" / "measured.json").read_text())
    assert script["filled"](page, measured) == page, "run `make performance`"
    assert {name for _, name, _ in script["MARKED"].findall(page)} == set(script["GOALS"]) >= set(measured)


def test_every_goal_has_its_row(script: dict[str, Any]) -> None:
    measured = json.loads((ROOT / "docs" / "measured.json").read_text())
    assert measured
    for name, entry in measured.items():
        assert set(script["GOALS"][name]) <= {found["name"] for found in entry["rows"]}


def test_a_goal_that_is_missed_is_said(script: dict[str, Any]) -> None:
    rows = [row("vgpo against grpo", 1.2, 1.0), row("pgpo against grpo", 1.2, 1.0), row("other", 3, 1)]
    lines = script["table"]("steps", rows).splitlines()[2:]
    assert [line.split("|")[-2].strip() for line in lines] == ["**no**", "yes", ""]
    memory = [row("extra memory, 2048 tokens", 300, 2500, "MB"), row("time, 256 tokens", 1.0, 1.1)]
    lines = script["table"]("exact_kl", memory).splitlines()[2:]
    assert [line.split("|")[-2].strip() for line in lines] == ["**no**", "yes"]


def test_pages_are_filled_again_and_again(script: dict[str, Any]) -> None:
    page = "a\n<!-- measured: rollouts -->\n<!-- end -->\nb\n"
    measured = {"rollouts": {"machine": "1 x CPU", "rows": [row("32 prompts x 8", 1.0, 2.0)]}}
    once = script["filled"](page, measured)
    assert "| 32 prompts x 8 | 1.00 | 2.00 | s | 0.50 | ≤ 0.62 | yes |" in once
    assert "1 x CPU" in once and once.endswith("<!-- end -->\nb\n")
    assert script["filled"](once, measured) == once
