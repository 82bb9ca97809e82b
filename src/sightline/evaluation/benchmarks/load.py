"""A benchmark opened and checked: its problems in order, images decoded when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...rewards import grade_any
from ...rewards.pairs import PAIR
from ...tasks import DataOptions, PairsTask, load_task
from ...tasks.loading.known_datasets import Columns
from ...tasks.problem import Problem
from ...tasks.rows.decode_images import Origin
from ...tasks.rows.decode_images import decode as decode_image
from ...tasks.rows.prompts import PromptTemplate, chat, load_template
from ...tasks.rows.row_errors import BadRow, Fault, UnusableRow, summary
from ...tasks.rows.row_reader import PlacedProblem, RowReader
from ...views import fingerprint
from .benchmark import Benchmark
from .families import Related, families
from .item import Item
from .locate import FoundSplit, find, under
from .row import BenchmarkRow

_ROLES = Columns("question", "answer", "images", "choices", answers="accepted")


@dataclass(frozen=True)
class OpenBenchmark:
    """A benchmark whose rows were found, counted and checked."""

    name: str
    items: Sequence[Item]
    decode: Callable[[int], Problem]
    """Problem number i with its images."""
    messages: Callable[[Problem], list[dict[str, Any]]]
    max_new_tokens: int
    about: Mapping[str, Any]
    """Plain data for the results: where it came from, loaded against expected, golds left out, note."""


def open_benchmark(
    name: str,
    benchmark: Benchmark,
    *,
    options: DataOptions | None = None,
    data_dir: str | Path | None = None,
    accept_differences: bool = False,
    limit: int | None = None,
) -> OpenBenchmark:
    """Open a benchmark and hold it against what is known of it.

    Problems without a gold that could be graded (empty, or not accepted as an answer to itself) are left
    out and listed. `limit` keeps the first problems. Images of what is kept are checked, not decoded.

    Raises:
        UserError: columns are missing, a row cannot be asked, or the number of problems or of golds
            left out is not the expected one (unless `accept_differences`).
    """
    options = options or DataOptions()
    if benchmark.drawn:
        return _drawn(name, benchmark, limit)
    found_splits = find(name, benchmark, data_dir)
    for found in found_splits:
        _check_columns(name, benchmark, found)
    template = load_template(options.prompt_template)
    rows, left_out = _walk(name, benchmark, found_splits, options, limit)
    loaded = len(rows) + len(left_out)
    left_out += refused_golds(rows)
    differences = _differences(benchmark, loaded, left_out)
    if differences and not accept_differences:
        raise UserError(
            f"{name}: {'; '.join(differences)}. The set may have changed, or the copy is cut short; "
            "give --accept_differences to evaluate it as it is; the results will say so"
        )
    refused = {entry["id"] for entry in left_out}
    kept = with_families([row for row in rows if row.item.id not in refused][:limit])
    if not kept:
        raise UserError(f"{name}: no problem could be loaded from {found_splits[0].place}")
    reader = [row.reader for row in kept]
    return OpenBenchmark(
        name,
        [row.item for row in kept],
        lambda index: reader[index](),
        lambda problem: _messages(template, options, problem),
        benchmark.max_new_tokens,
        _about(benchmark, found_splits, loaded, kept, left_out, differences),
    )


@dataclass(frozen=True)
class Row:
    item: Item
    reader: Callable[[], Problem]


def _messages(template: PromptTemplate, options: DataOptions, problem: Problem) -> list[dict[str, Any]]:
    assert isinstance(problem, PlacedProblem)
    choices = None if problem.listed else problem.choices
    return chat(template.render(problem.pieces, choices), options.system_prompt)


def _check_columns(name: str, benchmark: Benchmark, found: FoundSplit) -> None:
    missing = [column for column in benchmark.columns if column not in found.table.columns]
    if missing:
        raise UserError(
            f"{name}: {found.place} has no column {', '.join(missing)}; expected "
            f"{', '.join(benchmark.columns)}, found {', '.join(found.table.columns)}"
        )


def _walk(
    name: str,
    benchmark: Benchmark,
    found_splits: Sequence[FoundSplit],
    options: DataOptions,
    limit: int | None,
) -> tuple[list[Row], list[dict[str, str]]]:
    """Every row that is part of the benchmark, and those without a gold."""
    rows: list[Row] = []
    left_out: list[dict[str, str]] = []
    for found in found_splits:
        title = f"{name}/{found.name}" if len(found_splits) > 1 else name
        reader = RowReader(
            title, _ROLES, Origin(found.folder, options.allow_urls), options.min_pixels, options.max_pixels,
            check_golds=False,
        )  # fmt: skip
        present = [column for column in benchmark.columns if column in found.table.columns]
        table = found.table.only(present)
        bad: list[BadRow] = []
        for number, row in enumerate(table.rows(range(len(table)))):
            try:
                asked = benchmark.read(row)
                if asked is None:
                    continue
                shown = limit is None or len(rows) < limit
                rows.append(_row(benchmark, found, table, reader, asked, number, check_images=shown))
            except UnusableRow as fault:
                if fault.fault == Fault.EMPTY_ANSWER:
                    left_out.append({"id": f"{title}/{number}", "gold": "", "why": "the gold is empty"})
                else:
                    bad.append(BadRow(number, fault.fault, fault.detail))
        if bad:
            raise UserError(
                f"{title}: {summary(bad)} of {len(table)} rows cannot be asked, the first: {bad[0].detail}; "
                "no problem is dropped silently. Repair the copy, or load another revision"
            )
    return rows, left_out


def _row(
    benchmark: Benchmark,
    found: FoundSplit,
    table: Any,
    reader: RowReader,
    asked: BenchmarkRow,
    number: int,
    check_images: bool,
) -> Row:
    plain = _plain(asked, found)
    words = reader.words(plain)
    if check_images:
        reader.sizes(plain)  # every fault that shows without decoding is named here
    problem_id = f"{reader.name}/{number}"
    item = Item(
        problem_id,
        words.question,
        words.answer,
        words.choices or (),
        f"{asked.cluster}" or problem_id,
        dict(asked.labels),
        dict(asked.keys),
        asked.tolerance,
        words.accepted,
        asked.rule,
        fingerprints_of(reader, plain) if check_images else (),
    )

    def decode() -> Problem:
        again = benchmark.read(table[number])
        assert again is not None
        try:
            problem = reader.problem(_plain(again, found), number)
        except UnusableRow as fault:
            raise UserError(f"{problem_id}: {fault}; no problem is dropped silently, so repair it") from fault
        return replace(problem, listed=problem.listed or again.listed)

    return Row(item, decode)


def fingerprints_of(reader: RowReader, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of a row's images as they are stored, before any resizing."""
    names = []
    for value in reader.images(row):
        image = decode_image(value, reader.origin)
        if len(image.getcolors(2) or ()) != 1:  # more than one colour
            names.append((fingerprint([image]) or "")[:16])
    return tuple(names)


def with_families(rows: Sequence[Row]) -> list[Row]:
    """The rows with a cluster each: the one a column says, else the family it belongs to."""
    alone = [place for place, row in enumerate(rows) if row.item.cluster == row.item.id]
    items = [rows[place].item for place in alone]
    first = families([Related(i.question, i.answer, i.choices, i.fingerprints) for i in items])
    found = list(rows)
    for place, item, leader in zip(alone, items, first, strict=True):
        found[place] = replace(rows[place], item=replace(item, cluster=items[leader].id))
    return found


def clusters(rows: Sequence[Row]) -> dict[str, Any]:
    """How many clusters the problems are in, as how many equal ones they count, and who says so."""
    sizes = Counter(row.item.cluster for row in rows).values()
    column = any(row.item.cluster not in {one.item.id for one in rows} for row in rows)
    by = "a column" if column else "image and question" if len(sizes) < len(rows) else "each its own"
    effective = sum(sizes) ** 2 / sum(size * size for size in sizes)
    return {"count": len(sizes), "effective": round(effective, 1), "by": by}


def _plain(asked: BenchmarkRow, found: FoundSplit) -> dict[str, Any]:
    """A row under the names that `RowReader` reads."""
    shown = [under(found.folder, cell) for cell in asked.images]
    return {
        "question": asked.question, "answer": asked.answer, "images": shown, "choices": list(asked.choices),
        "accepted": list(asked.accepted),
    }  # fmt: skip


def refused_golds(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Golds that the strict grader does not accept as answers to themselves: nothing could be right."""
    items = [row.item for row in rows if row.item.rule is None]
    verdicts = grade_any([(f"\\boxed{{{item.answer}}}", item.golds, item.choices) for item in items])
    return [
        {"id": item.id, "gold": item.answer[:200], "why": verdict.why_not or verdict.how}
        for item, verdict in zip(items, verdicts, strict=True)
        if verdict.correct is False
    ]


def _differences(benchmark: Benchmark, loaded: int, left_out: Sequence[Mapping[str, str]]) -> list[str]:
    found = []
    if benchmark.rows is not None and loaded != benchmark.rows:
        found.append(f"expected {benchmark.rows:,} problems, found {loaded:,}")
    if len(left_out) != benchmark.ungradable:
        first = (
            f" ({left_out[0]['id']}: {left_out[0]['gold']!r:.60}: {left_out[0]['why']})" if left_out else ""
        )
        found.append(
            f"expected {benchmark.ungradable} golds that cannot be graded, found {len(left_out)}{first}"
        )
    return found


def _about(
    benchmark: Benchmark,
    found_splits: Sequence[FoundSplit],
    loaded: int,
    kept: Sequence[Row],
    left_out: list[dict[str, str]],
    differences: list[str],
) -> dict[str, Any]:
    return {
        "source": benchmark.source,
        "place": found_splits[0].place,
        "config": benchmark.config,
        "splits": [found.name for found in found_splits],
        "revision": found_splits[0].revision,
        "expected": benchmark.rows,
        "loaded": loaded,
        "used": len(kept),
        "clusters": clusters(kept),
        "golds_left_out": left_out,
        "differences": differences,
        "note": benchmark.note,
        "aggregate": benchmark.aggregate,
    }


def _drawn(name: str, benchmark: Benchmark, limit: int | None) -> OpenBenchmark:
    task = load_task(benchmark.source)
    count = limit or benchmark.rows
    if isinstance(task, PairsTask):
        problems = task.pairs("test", max(1, (count or 512) // 2))
    else:
        problems = task.test(count, 0)
    items = [
        Item(p.id, p.question, p.answer, p.choices or (), p.columns.get(PAIR, p.id), {"kind": p.kind},
             {PAIR: p.columns[PAIR]} if PAIR in p.columns else {})
        for p in (problems[index] for index in range(len(problems)))
    ]  # fmt: skip
    clusters = len({item.cluster for item in items})
    about = {
        "source": benchmark.source, "place": "drawn", "config": None, "splits": ["test"], "revision": None,
        "expected": len(items), "loaded": len(items), "used": len(items),
        "clusters": {"count": clusters, "effective": float(clusters),
                     "by": "a column" if clusters < len(items) else "each its own"},
        "golds_left_out": [], "differences": [], "note": benchmark.note, "aggregate": benchmark.aggregate,
    }  # fmt: skip
    return OpenBenchmark(
        name, items, lambda index: problems[index], task.messages, benchmark.max_new_tokens, about
    )
