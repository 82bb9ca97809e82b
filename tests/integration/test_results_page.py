"""Every number of docs/results.md and docs/results/, computed again from the committed raw files."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from sightline.laboratory.gradient_test.run import gradient_results
from sightline.laboratory.results.summary import study_results
from sightline.laboratory.study.folder import StudyFolder

RESULTS = Path(__file__).parents[2] / "results"
HERE = re.escape(str(Path(__file__).resolve().parents[2]))
PRIVATE = re.compile(
    rf"(?:(?<![\w.:/+-])|file://)(?:/home|/Users|/root|/tmp|/mnt|/workspace|{HERE})/|\b[A-Z]:\\+Users\\"
)
"""Absolute paths to where people and machines keep what is theirs."""
MOST_BYTES = 30_000_000
MADE_WITH = ("git_revision", "versions")


def test_the_pages_are_what_the_raw_files_say() -> None:
    spec = importlib.util.spec_from_file_location("write_results", RESULTS / "write.py")
    assert spec is not None and spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    for file, text in writer.render().items():
        assert (writer.DOCS / file).read_text(encoding="utf-8") == text, file


@pytest.mark.parametrize(
    ("name", "compute"),
    [
        *((path, study_results) for path in sorted(RESULTS.glob("*/results.json"))),
        *((path, gradient_results) for path in sorted(RESULTS.glob("*/gradient.json"))),
    ],
    ids=lambda value: value.parent.name if isinstance(value, Path) else "",
)
def test_stored_results_are_those_of_the_raw_files(name: Path, compute: object) -> None:
    assert callable(compute)
    folder = StudyFolder(name.parent)
    stored = json.loads(name.read_text(encoding="utf-8"))
    again = compute(folder, folder.plan())
    again = json.loads(json.dumps(again).replace("NaN", "null"))
    for made_with in MADE_WITH:
        stored.pop(made_with)
        again.pop(made_with)
    assert _rounded(again) == _rounded(stored)


def test_the_committed_results_are_small_and_name_no_machine() -> None:
    files = [path for path in RESULTS.rglob("*") if path.is_file() and path.name != ".lock"]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    for path in files:
        if path.suffix in (".yaml", ".json", ".jsonl", ".md", ".csv", ".html"):
            text = path.read_text(encoding="utf-8")
            assert (found := PRIVATE.search(text)) is None, (path, found)


def _rounded(value: object) -> object:
    """Floats to nine digits: sums over batches may differ in their last ones between machines."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return value
