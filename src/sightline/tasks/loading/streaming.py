"""Problems of a streamed dataset: rows are read in order, and a window of them is kept."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from ...errors import UserError
from ..problem import Problem
from ..rows.row_errors import UnusableRow
from ..rows.row_reader import RowReader
from .sources import OpenedSource

log = logging.getLogger(__name__)

SHUFFLED = 1_000
"""Rows held to draw from, so that neighbours of the file are not neighbours of a batch."""

WINDOW = 1_024
"""Encoded rows kept behind the reading position, for prompts that are asked for again."""


class StreamedProblems(Sequence[Problem]):
    """Problem i is the i-th usable row of the shuffled stream; to be read in ascending order.

    Going back behind the window reads the stream again from its start, so shuffle nothing outside.
    A stream that ends too early begins again if rows are skipped or it is part of a mixture; the ids of
    its second round end in `#2`, and the log says so.
    """

    sequential = True
    """Tells an engine to keep to the order."""

    def __init__(
        self,
        name: str,
        found: OpenedSource,
        split: str,
        reader: Callable[[Mapping[str, Any]], RowReader],
        count: int | None,
        seed: int,
        skip: bool,
    ):
        """`reader` makes the reader of rows from one of them; `skip` leaves unusable rows out."""
        stated = found.stated_rows(split)
        if count is None and stated is None:
            raise UserError(f"{name} does not say how many rows it has; set limit when streaming")
        self._size = stated if count is None else count if stated is None else min(count, stated)
        self._name, self._found, self._split, self._seed = name, found, split, seed
        self._reader, self._skip = reader, skip
        self.repeats = skip
        """Whether a stream that ends too early begins again, as the rows of a table do."""
        self._rows: Iterator[tuple[int, Any, dict[str, Any]]] | None = None
        self._window: deque[tuple[int, int, Any, dict[str, Any]]] = deque(maxlen=WINDOW)
        self._next = 0
        self._round = 1

    def __len__(self) -> int:
        return int(self._size or 0)

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> list[Problem]: ...
    def __getitem__(self, index: int | slice) -> Problem | list[Problem]:
        """Read forward to a problem, or through a list of them.

        Raises:
            UserError: a row is unusable (unless they are skipped), or the stream holds fewer than it said.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        position = range(len(self))[index]
        if position < self._next - len(self._window):
            self._rows, self._next, self._round = None, 0, 1
            self._window.clear()
        while self._next <= position:
            self._window.append(self._advance())
            self._next += 1
        turn, number, reader, row = self._window[position - self._next]
        problem = reader.problem(row, number)
        return replace(problem, id=f"{problem.id}#{turn}") if turn > 1 else problem

    def _advance(self) -> tuple[int, int, Any, dict[str, Any]]:
        if self._rows is None:
            self._rows = self._usable()
        found = next(self._rows, None)
        if found is None and self.repeats and self._next:
            log.warning(
                "%s, %s: the stream ended after %d of %d problems; it is read again from its start",
                self._name, self._split, self._next, len(self),
            )  # fmt: skip
            self._rows, self._round = self._usable(), self._round + 1
            found = next(self._rows, None)
        if found is None:
            raise UserError(
                f"{self._name}, {self._split}: the stream ended after {self._next} usable rows, "
                f"{len(self)} were expected; set limit: {self._next}"
                if self._next
                else f"{self._name}, {self._split}: the stream has no usable row"
            )
        return self._round, *found

    def _usable(self) -> Iterator[tuple[int, Any, dict[str, Any]]]:
        """Number, reader and content of every usable row; decoded once to be sure of it."""
        stream, features = self._found.stream(self._split)
        cells = self._found.cells(features)
        numbered = stream.map(_number, with_indices=True)
        reader = None
        for row in numbered.shuffle(seed=self._seed, buffer_size=SHUFFLED):
            number = int(row.pop(_NUMBER))
            row = cells(row)
            reader = reader or self._reader(row)
            try:
                reader.problem(row, number)
            except UnusableRow as fault:
                if not self._skip:
                    raise UserError(
                        f"{reader.name}, row {number}: {fault}; repair it, or set on_bad_row: skip"
                    ) from fault
                log.warning("skipped %s, row %d: %s", reader.name, number, fault)
                continue
            yield number, reader, row


_NUMBER = "row number of sightline"


def _number(row: dict[str, Any], index: int) -> dict[str, Any]:
    return {_NUMBER: index}
