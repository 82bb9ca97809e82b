"""A task of training as a benchmark: its held-out problems, asked and graded like any other's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ...errors import UserError
from ...tasks import WorldTask
from ...tasks.dataset_task import DatasetTask
from ...tasks.problem import Problem, Task
from ...views import fingerprint
from .item import Item
from .load import OpenBenchmark, Row, clusters, open_benchmark, refused_golds, with_families
from .registry import BENCHMARKS

MAX_NEW_TOKENS = 2048
DRAWN = 512
"""Problems of a task that is drawn, where no limit says how many."""


def open_task(task: Task, problems: Sequence[Problem], source: str) -> OpenBenchmark:
    """The benchmark of `problems` of a task, whose every image is decoded once to find those that belong
    together. Problems whose gold the grader would not accept as an answer to itself are left out and listed.

    Raises:
        UserError: nothing is left.
    """
    rows = [Row(_item(problems[place]), _reader(problems, place)) for place in range(len(problems))]
    left_out = refused_golds(rows)
    refused = {entry["id"] for entry in left_out}
    kept = with_families([row for row in rows if row.item.id not in refused])
    if not kept:
        raise UserError(f"{task.name}: no problem could be loaded that the grader could judge")
    readers = [row.reader for row in kept]
    found = task.opened(task.source) if isinstance(task, DatasetTask) else None
    about = {
        "source": source, "place": source, "config": None, "splits": ["held out"],
        "revision": None if found is None else found.revision,
        "expected": None, "loaded": len(rows), "used": len(kept), "clusters": clusters(kept),
        "golds_left_out": left_out, "differences": [], "note": "", "aggregate": None,
    }  # fmt: skip
    return OpenBenchmark(
        task.name, [row.item for row in kept], lambda place: readers[place](), task.messages,
        MAX_NEW_TOKENS, about,
    )  # fmt: skip


def open_pairs(task: Task, given: str, limit: int | None) -> OpenBenchmark:
    """The minimal pairs of the drawn world behind a task, which the user named `given`.

    Raises:
        UserError: the task is of another kind.
    """
    if not isinstance(task, WorldTask):
        raise UserError(
            f"--pairs: task {given} draws no minimal pairs; expected a drawn world, such as shapes or "
            "shapes-2, or a set in --benchmark_file whose entry says which column pairs its rows (paired: "
            "{pair: COLUMN})"
        )
    name = f"{task.world.name}:pairs"
    longer = replace(BENCHMARKS["shapes-2:pairs"], source=name, max_new_tokens=MAX_NEW_TOKENS)  # other levels
    return open_benchmark(name, BENCHMARKS.get(name, longer), limit=limit)


def _reader(problems: Sequence[Problem], place: int) -> Callable[[], Problem]:
    return lambda: problems[place]


def _item(problem: Problem) -> Item:
    several = (image for image in problem.images if len(image.getcolors(2) or ()) != 1)
    names = tuple((fingerprint([image]) or "")[:16] for image in several)
    labels: dict[str, Any] = {"kind": problem.kind} if problem.kind else {}
    return Item(
        problem.id, problem.question, problem.answer, problem.choices or (), problem.id, labels,
        accepted=problem.accepted, fingerprints=names,
    )  # fmt: skip
