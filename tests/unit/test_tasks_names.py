"""Tasks by name, without reading anything; importing them stays cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sightline.errors import UserError
from sightline.tasks.loading.known_datasets import KNOWN, resolve_columns
from sightline.tasks.loading.sources import parse_source
from sightline.tasks.rows.row_errors import NOTES, BadRow, Fault, UnusableRow, summary


def test_importing_tasks_reads_no_dataset_library():
    code = (
        "import sys, sightline, sightline.tasks as t; t.load_task('shapes');"
        "print([m for m in ('datasets', 'transformers', 'trl', 'pandas', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_source_in_yaml():
    source = parse_source({"source": "a/b", "weight": 2, "columns": {"question": "q"}, "test": "c/d"})
    assert (source.title, source.weight, source.test) == ("b", 2, parse_source("c/d"))
    assert parse_source("hiyouga/geometry3k").known is KNOWN["hiyouga/geometry3k"]
    assert parse_source({"source": "x/y.jsonl", "name": "mine"}).title == "mine"


def test_columns_are_found_or_asked_for():
    found = resolve_columns({}, ["problem", "images", "answer", "extra"], "x")
    assert (found.question, found.images, found.answer, found.choices) == (
        "problem",
        "images",
        "answer",
        None,
    )
    assert resolve_columns({"images": None}, ["problem", "images", "answer"], "x").images is None
    assert found.used() == ["problem", "answer", "images"]
    with pytest.raises(UserError, match="the answer"):
        resolve_columns({}, ["problem"], "x")


def test_bad_rows_are_summed_up_with_their_numbers():
    rows = [BadRow(n, Fault.EMPTY_ANSWER, "") for n in range(20)] + [BadRow(3, Fault.MISSING_IMAGE, "null")]
    assert summary(rows) == ("20 empty answer (rows 0, 1, 2, 3, 4, 5, 6, 7, ...), 1 missing image (row 3)")
    assert summary([]) == ""
    assert set(Fault) >= NOTES


def test_what_a_fault_quotes_cannot_move_the_cursor():
    assert (
        str(UnusableRow(Fault.WRONG_TYPE, "a\x1b[2Jb\nc\u202ed")) == r"wrong type (a\u001b[2Jb\u000ac\u202ed)"
    )


def test_what_a_run_trains_on_has_a_name() -> None:
    from sightline.tasks.task_names import task_name

    own = {"source": "data/charts.jsonl", "columns": {"answer": "label"}}
    assert task_name(own) == "charts.jsonl"
    assert task_name({**own, "name": "my charts"}) == "my charts"
    assert (
        task_name([own, {"source": "owner/name", "weight": 2}, "shapes"])
        == "charts.jsonl + owner/name + shapes"
    )
    assert task_name({"source": [{"question": "?"}]}) == "rows"
