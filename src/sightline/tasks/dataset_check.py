"""Checks every row of a dataset and counts, with row numbers, all that would stop or distort a run."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..rewards import grade_many
from .dataset_task import DatasetTask
from .loading.sources import OpenedSource
from .loading.tables import Table
from .problem import Problem
from .prompt_length_filter import CountTokens
from .rows.decode_images import decode
from .rows.row_errors import NOTES, BadRow, Fault, UnusableRow
from .rows.row_reader import RowReader, RowText

_GRADED_AT_ONCE = 256
_UNREAD = frozenset({"no box", "empty", "no gold", "too long", "timeout", "crash"})

ANSWER_KINDS: dict[str, re.Pattern[str]] = {
    "letter": re.compile(r"\(?[A-Z]\)?\.?"),
    "letters": re.compile(r"[A-H](?:\s*,\s*[A-H])+|[A-H]{2,4}"),
    "integer": re.compile(r"[+-−]?\d{1,3}(?:,?\d{3})*|[+-−]?\d+"),
    "decimal": re.compile(r"[+-−]?\d*\.\d+%?|[+-−]?\d+%"),
    "fraction": re.compile(r"[+-−]?\d+\s*/\s*\d+|-?\\d?frac\{[+-]?\d+\}\{\d+\}"),
    "expression": re.compile(
        r".*[\\^_=√π°²³{}<>±×÷].*|(?:[\d\s+\-*/().]|(?<![a-z])[a-z](?![a-z])){2,}", re.DOTALL
    ),
}
"""Kinds of answers, the first that matches the whole; anything else is "text"."""
STRUCTURED = "list or mapping"
"""The kind of golds that only rewards of the user's own can judge; no grader is asked about them."""


@dataclass
class SplitCheck:
    """What a walk over one split found."""

    name: str
    rows: int = 0
    images: list[tuple[int, int]] = field(default_factory=list)
    """Width and height of every sound image, as it is stored."""
    resized: int = 0
    """Images that the pixel budget changes."""
    lengths: list[int] = field(default_factory=list)
    """Length of every prompt: tokens if a model was given, else characters of its text."""
    answers: Counter[str] = field(default_factory=Counter)
    faults: dict[Fault, list[BadRow]] = field(default_factory=dict)
    digests: dict[bytes, int] = field(default_factory=dict)
    """Hash of a row's pixels and question -> its first row."""
    golds: dict[int, str] = field(default_factory=dict)

    def add(self, row: int, fault: Fault, detail: str) -> None:
        """Note a problem of a row."""
        self.faults.setdefault(fault, []).append(BadRow(row, fault, detail))

    @property
    def bad(self) -> int:
        """Rows with a problem that is more than a note."""
        return len({bad.row for fault, found in self.faults.items() if fault not in NOTES for bad in found})

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, every row number included."""
        return {
            "rows": self.rows,
            "bad_rows": self.bad,
            "images": len(self.images),
            "resized": self.resized,
            "width": spread([width for width, _ in self.images]),
            "height": spread([height for _, height in self.images]),
            "pixels": spread([width * height for width, height in self.images]),
            "prompt_length": spread(self.lengths),
            "answers": dict(self.answers.most_common()),
            "problems": {
                str(fault): {
                    "count": len(found),
                    "kept": fault in NOTES,
                    "rows": [bad.row for bad in found],
                    "details": [bad.detail for bad in found[:20]],
                }
                for fault, found in sorted(self.faults.items(), key=lambda item: list(Fault).index(item[0]))
            },
        }


def spread(numbers: Sequence[int]) -> dict[str, int] | None:
    """Least, median, 95th percentile and most; None of nothing."""
    if not numbers:
        return None
    low, middle, high, most = np.percentile(numbers, [0, 50, 95, 100], method="nearest")
    return {"min": int(low), "median": int(middle), "p95": int(high), "max": int(most)}


def check_split(
    task: DatasetTask,
    found: OpenedSource,
    split: str,
    *,
    limit: int | None = None,
    count_tokens: CountTokens | None = None,
    max_prompt_length: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> SplitCheck:
    """Read, decode and grade every row of a split (or the first `limit`), stopping at none of them.

    A prompt over `max_prompt_length` counts as a problem only if `count_tokens` measures it.
    """
    table, reader = task.read(found, split)
    numbers = range(len(table) if limit is None else min(limit, len(table)))
    result = SplitCheck(reader.name, rows=len(numbers))
    to_grade: list[tuple[int, RowText]] = []
    for number, row in zip(numbers, table.rows(numbers), strict=True):
        try:
            words = reader.words(row)
            sizes = _look(reader, row, words, number, result)
        except UnusableRow as fault:
            result.add(number, fault.fault, fault.detail)
        else:
            length = _length(task, reader, words, sizes, count_tokens)
            result.lengths.append(length)
            if count_tokens is not None and max_prompt_length is not None and length > max_prompt_length:
                result.add(number, Fault.PROMPT_TOO_LONG, f"{length} tokens")
            result.answers[answer_kind(words.answer) if words.gold is None else STRUCTURED] += 1
            if words.gold is None:
                to_grade.append((number, words))
        if len(to_grade) >= _GRADED_AT_ONCE:
            _grade(to_grade, result)
            to_grade = []
        if progress is not None:
            progress(1)
    _grade(to_grade, result)
    return result


def _look(
    reader: RowReader, row: dict[str, Any], words: RowText, number: int, result: SplitCheck
) -> list[tuple[int, int]]:
    """Decode a row's images, note what is odd, and tell the sizes the model gets."""
    digest = hashlib.blake2b(
        " ".join(words.question.casefold().split()).encode("utf-8", "replace"), digest_size=16
    )
    stored = []
    for value in reader.images(row):
        image = decode(value, reader.origin)
        digest.update(repr(image.size).encode() + image.tobytes())
        stored.append(image.size)
    sizes = reader.sizes(row)
    result.images += stored
    result.resized += sum(before != after for before, after in zip(stored, sizes, strict=True))
    if not stored:
        result.add(number, Fault.NO_IMAGE, "a question without an image")
    if 0 < words.markers < len(stored):
        result.add(
            number, Fault.FEWER_MARKERS, f"{words.markers} markers, {len(stored)} images; the rest follow"
        )
    first = result.digests.setdefault(digest.digest(), number)
    if first != number:
        other = "" if result.golds.get(first) == words.answer else ", with another answer"
        result.add(number, Fault.DUPLICATE, f"as row {first}{other}")
    else:
        result.golds[number] = words.answer
    return sizes


def _length(
    task: DatasetTask,
    reader: RowReader,
    words: RowText,
    sizes: list[tuple[int, int]],
    count_tokens: CountTokens | None,
) -> int:
    around = task.template.render(words.pieces, None if words.listed else words.choices)
    if count_tokens is None:
        return sum(map(len, around))
    return count_tokens(task.chat(around), sizes)


def _grade(rows: list[tuple[int, RowText]], result: SplitCheck) -> None:
    """Put every gold to the grader as a boxed answer."""
    golds = [(number, gold, words) for number, words in rows for gold in (words.answer, *words.accepted)]
    verdicts = grade_many([(f"\\boxed{{{gold}}}", gold, words.choices) for _, gold, words in golds])
    for (number, gold, _), verdict in zip(golds, verdicts, strict=True):
        if verdict.correct is False:
            fault = Fault.UNREADABLE_GOLD if verdict.how in _UNREAD else Fault.REFUSED_GOLD
            result.add(number, fault, f"{gold[:60]!r}: {verdict.why_not or verdict.how}")
        elif verdict.correct is None:  # this machine's doing, not the row's
            result.add(number, Fault.UNDECIDED_GOLD, f"{gold[:60]!r}: {verdict.why_not}")


def mark_overlap(trained: SplitCheck, held_out: Iterable[SplitCheck]) -> None:
    """Note every row of `trained` whose pixels and question are also held out."""
    for other in held_out:
        for digest, number in trained.digests.items():
            if digest in other.digests:
                trained.add(number, Fault.IN_TEST, f"as row {other.digests[digest]} of {other.name}")


def answer_kind(answer: str) -> str:
    """What a gold answer looks like: a key of `ANSWER_KINDS`, or "text"."""
    bare = answer.strip().strip("$").strip()
    return next((kind for kind, pattern in ANSWER_KINDS.items() if pattern.fullmatch(bare)), "text")


def sample_rows(
    table: Table, reader: RowReader, rows: int, count: int, seed: int
) -> list[tuple[int, Problem | None, UnusableRow | None]]:
    """`count` of the first `rows` rows, drawn by `seed`: number, and the problem or what is wrong with it."""
    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:count])
    found: list[tuple[int, Problem | None, UnusableRow | None]] = []
    for number in map(int, drawn):
        try:
            found.append((number, reader.problem(table[number], number), None))
        except UnusableRow as fault:
            found.append((number, None, fault))
    return found
