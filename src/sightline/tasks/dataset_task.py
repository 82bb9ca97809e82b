"""A task over a dataset: rows chosen and checked at the start, read when they are needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, overload

import numpy as np

from ..errors import UserError
from .loading.data_options import DataOptions
from .loading.known_datasets import check_images_named, resolve_columns
from .loading.sources import OpenedSource, Source, parse_source
from .loading.streaming import StreamedProblems
from .loading.tables import Table
from .problem import NothingHeldOut, Problem
from .rows.decode_images import Origin
from .rows.prompts import chat, load_template, pieces
from .rows.row_errors import BadRow, UnusableRow, summary
from .rows.row_reader import PlacedProblem, RowReader

log = logging.getLogger(__name__)

_LOOKED_AT = 16
"""Rows from which is told what columns hold."""
TEST_SPLITS = ("test", "validation", "val", "dev")


class RowProblems(Sequence[Problem]):
    """Problems of chosen rows; a row is read and its images decoded whenever it is indexed."""

    def __init__(
        self,
        table: Table,
        reader: RowReader,
        numbers: Sequence[int],
        skip: bool,
        skipped: tuple[BadRow, ...],
        others: Table,
    ):
        self.table, self.reader, self.numbers = table, reader, np.asarray(numbers, dtype=np.int64)
        self.others = others
        """All columns but the images', for rewards."""
        self.skipped = skipped
        """Rows that were left out when the problems were chosen."""
        self._skip = skip
        self._named: set[int] = set()
        self._last: tuple[int, Problem] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> list[Problem]: ...
    def __getitem__(self, index: int | slice) -> Problem | list[Problem]:
        """Read one problem, or a list of them.

        A fault that only decoding shows stops the run; with `skip` the next sound row takes its place.
        The last problem is kept, because a prompt is asked for once per rollout.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        position = range(len(self))[index]
        if self._last is not None and self._last[0] == position:
            return self._last[1]
        problem = self._read(position)
        self._last = (position, problem)
        return problem

    def _read(self, position: int) -> Problem:
        for step in range(len(self)):
            number = int(self.numbers[(position + step) % len(self)])
            try:
                return self.reader.problem(
                    self.table[number], number, partial(self.others.__getitem__, number)
                )
            except UnusableRow as fault:
                self._refuse(number, fault)
        raise UserError(f"{self.reader.name}: not one row can be used")

    def _refuse(self, number: int, fault: UnusableRow) -> None:
        if not self._skip:
            raise UserError(
                f"{self.reader.name}, row {number}: {fault}; `sightline data check` lists all such rows. "
                "Repair it, or set on_bad_row: skip"
            ) from fault
        if number not in self._named:
            self._named.add(number)
            log.warning(
                "skipped %s, row %d: %s; the next sound row takes its place", self.reader.name, number, fault
            )

    def outline(self, index: int) -> tuple[Problem, list[tuple[int, int]]]:
        """A problem without its images, and their sizes as the model gets them; nothing is decoded."""
        number = int(self.numbers[index])
        row = self.table[number]
        words = self.reader.words(row)
        problem = PlacedProblem(
            f"{self.reader.name}/{number}",
            words.question,
            (),
            words.answer,
            words.choices,
            words.kind,
            gold=words.gold,
            accepted=words.accepted,
            listed=words.listed,
            pieces=words.pieces,
        )
        return problem, self.reader.sizes(row)


class DatasetTask:
    """Problems of a published or local set, put as a template says."""

    def __init__(self, source: Any, options: DataOptions | None = None):
        self.options = options or DataOptions()
        self.source: Source = parse_source(source)
        self.name = self.source.title
        self.template = load_template(self.options.prompt_template)
        self._open: list[tuple[Source, OpenedSource]] = []

    # --- the protocol --------------------------------------------------------------------------------

    def train(self, count: int | None = None, seed: int = 0) -> Sequence[Problem]:
        """All training problems in their order, or `count` of them drawn by `seed`; fewer if there are fewer.

        Every chosen row is checked first: its text, and its images as far as header and container tell.

        Raises:
            UserError: a row is unusable (unless they are skipped), or none is left.
        """
        found = self.opened(self.source)
        return self._problems(found, self.train_split(), count, seed)

    def test(self, count: int | None = None, seed: int = 0) -> Sequence[Problem]:
        """All held-out problems in their order, or `count` of them drawn by `seed`.

        They come from `test:` of the source, else from the set known to go with it, else from its own
        test or validation split.

        Raises:
            UserError: nothing is held out, or it is what is trained on.
        """
        held_out, split = self.held_out()
        return self._problems(held_out, split, count, seed)

    def messages(self, problem: Problem) -> list[dict[str, Any]]:
        """The system prompt, if any, and one user turn with the images where the question has them."""
        if isinstance(problem, PlacedProblem) and problem.pieces:
            around = list(problem.pieces)
        else:
            around, _ = pieces(problem.question, len(problem.images))
        return self.chat(self.template.render(around, None if problem.listed else problem.choices))

    def chat(self, around: Sequence[str]) -> list[dict[str, Any]]:
        """The messages of a rendered prompt: its text around the images."""
        return chat(around, self.options.system_prompt)

    # --- what lies behind it -------------------------------------------------------------------------

    def opened(self, source: Source) -> OpenedSource:
        """The source, found on disk or on the hub once."""
        for known, found in self._open:
            if known == source:
                return found
        self._open.append((source, OpenedSource(source)))
        return self._open[-1][1]

    def train_split(self) -> str:
        """The split that is trained on."""
        known = self.source.known
        return self.opened(self.source).chosen([known.train if known else None, "train"])

    def held_out(self) -> tuple[OpenedSource, str]:
        """Where the held-out rows lie.

        Raises:
            UserError: nothing is held out, or it is what is trained on.
        """
        source, known = self.source, self.source.known
        if source.test is not None:
            found = self.opened(source.test)
            split = found.chosen([*TEST_SPLITS, source.test.known.train if source.test.known else None])
        elif known is not None and known.test is not None:
            place, split = known.test
            found = self.opened(replace(source, split=None) if place == source.source else Source(place))
        else:
            found = self.opened(replace(source, split=None))
            split = next((split for split in TEST_SPLITS if split in found.splits), "")
        trained = found.source.source == source.source and split == self.train_split()
        if trained and source.test is not None:
            raise UserError(
                f"{self.name}: the rows named as held out are the ones trained on ({found.source.title}, "
                f"split {split}); name another set or split"
            )
        if not split or trained:
            raise NothingHeldOut(
                f"{self.name} holds nothing out: it has {', '.join(found.splits)} only. Name held-out rows, "
                "such as task: {source: ..., test: {source: ..., split: ...}}, or set eval_problems: 0"
            )
        return found, split

    def reader(self, found: OpenedSource, split: str, row: Mapping[str, Any]) -> RowReader:
        """How the rows of a split are read, of which `row` is one.

        Columns are the source's own, else the run's, else the known ones, else found by their usual names.

        Raises:
            UserError: the columns cannot be told, or images lie in one that nobody named.
        """
        present = list(row)
        main = found.source.source == self.source.source
        given = found.source.columns
        inherited = self.source.columns or self.options.columns
        if not given and (main or set(inherited.values()) <= {*present, None}):
            given = inherited
        known = found.source.known
        if not given and known is not None and set(known.columns.used()) <= set(present):
            columns = known.columns
        else:
            columns = resolve_columns(given, present, found.source.title)
            check_images_named(columns, given, row, found.source.title)
        return RowReader(
            name=f"{found.source.title}/{split}",
            columns=columns,
            origin=Origin(found.folder(split), self.options.allow_urls),
            min_pixels=self.options.min_pixels,
            max_pixels=self.options.max_pixels,
            answer_is=found.source.answer_is or (self.source.answer_is if main else None),
            structured_golds=self.options.structured_golds,
        )

    def read(self, found: OpenedSource, split: str) -> tuple[Table, RowReader]:
        """A split's rows, with the columns that are used and how they are read."""
        table = found.table(split)
        reader = self.reader(found, split, _example(table))
        return table.only(reader.columns.used()), reader

    def _problems(self, found: OpenedSource, split: str, count: int | None, seed: int) -> Sequence[Problem]:
        if count is not None and count < 0:
            raise UserError(f"expected a number of problems of at least 0, got {count}")
        skip = self.options.on_bad_row == "skip"
        if self.options.streaming:
            reader_of = partial(self.reader, found, split)
            return StreamedProblems(self.name, found, split, reader_of, count, seed, skip)
        whole = found.table(split)
        reader = self.reader(found, split, _example(whole))
        table = whole.only(reader.columns.used())
        numbers, skipped = _choose(table, reader, count, seed, skip)
        if skipped and not skip:
            raise UserError(
                f"{reader.name}: {summary(skipped)} of {len(table)} rows cannot be used, the first: "
                f"{skipped[0].detail}. Repair them, or set "
                "on_bad_row: skip to leave them out; `sightline data check` says more"
            )
        for bad in skipped:
            log.warning("skipped %s, row %d: %s (%s)", reader.name, bad.row, bad.fault, bad.detail)
        if not numbers and count != 0:
            raise UserError(f"{reader.name} has no usable row ({len(table)} rows, {len(skipped)} skipped)")
        others = whole.only(list(reader.without_images(dict.fromkeys(whole.columns))))
        return RowProblems(table, reader, numbers, skip, tuple(skipped), others)


def _example(table: Table) -> dict[str, Any]:
    """A row that has a cell in every column that any of the first rows has one in."""
    found = dict.fromkeys(table.columns)
    for row in table.rows(range(min(len(table), _LOOKED_AT))):
        found |= {name: cell for name, cell in row.items() if found.get(name) is None}
    return found


def _choose(
    table: Table, reader: RowReader, count: int | None, seed: int, skip: bool
) -> tuple[list[int], list[BadRow]]:
    """Numbers of `count` usable rows (None: all), and the unusable ones that were met."""
    everything = count is None or count >= len(table)
    drawn = range(len(table)) if everything else np.random.default_rng(seed).permutation(len(table)).tolist()
    wanted = len(table) if count is None else min(count, len(table))
    looked_at = drawn if skip else drawn[:wanted]
    usable: list[int] = []
    unusable: list[BadRow] = []
    for number, row in zip(looked_at, _lazily(table, looked_at, wanted), strict=False):
        if len(usable) >= wanted:
            break
        try:
            reader.words(row)
            reader.sizes(row)
            usable.append(int(number))
        except UnusableRow as fault:
            unusable.append(BadRow(int(number), fault.fault, fault.detail))
    return usable, unusable


def _lazily(table: Table, numbers: Sequence[int], wanted: int) -> Iterator[dict[str, Any]]:
    """Rows in order, first the ones that are needed if all are sound, then more."""
    yield from table.rows(numbers[:wanted])
    yield from table.rows(numbers[wanted:])
