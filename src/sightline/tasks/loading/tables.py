"""Rows of one split by number, from disk when asked for; images stay encoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features

ROWS_AT_ONCE = 128
"""Rows read together in a walk; their encoded images are what is held in memory."""

MOST_GROUP_BYTES = 64 * 2**20
"""Largest row group of a parquet file that is read in place; others are converted once."""


class Table(Protocol):
    """Rows of a split, each a mapping from column to cell."""

    columns: list[str]

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> dict[str, Any]: ...
    def rows(self, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        """The rows of these numbers in their order, a few at a time in memory."""
        ...

    def only(self, columns: Sequence[str]) -> Table:
        """The same rows with these columns alone."""
        ...


class ArrowTable:
    """Rows of a `datasets.Dataset`, which maps its cache on disk into memory."""

    def __init__(self, dataset: Dataset):
        self.columns: list[str] = list(dataset.column_names)
        self._cells = Cells(dataset.features)
        self._arrow = dataset.with_format("arrow")

    def __len__(self) -> int:
        return len(self._arrow)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return next(self.rows([number]))

    def rows(self, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        """The rows of these numbers; runs of neighbours are read without a copy."""
        for start in range(0, len(numbers), ROWS_AT_ONCE):
            wanted = [int(number) for number in numbers[start : start + ROWS_AT_ONCE]]
            neighbours = wanted == list(range(wanted[0], wanted[0] + len(wanted)))
            batch = self._arrow[slice(wanted[0], wanted[-1] + 1) if neighbours else wanted]
            for row in pa.table(batch).to_pylist():
                yield self._cells(row)

    def only(self, columns: Sequence[str]) -> ArrowTable:
        """The same rows with these columns alone."""
        return ArrowTable(self._arrow.select_columns(list(columns)))


class ParquetTable:
    """Rows of parquet files as they lie, one row group at a time: nothing is converted or cached."""

    def __init__(self, files: Sequence[str], columns: Sequence[str] | None = None):
        self._files = [str(file) for file in files]
        heads = [pq.ParquetFile(file) for file in self._files]
        self.schema = schema = heads[0].schema_arrow
        self.columns: list[str] = list(schema.names if columns is None else columns)
        self._cells = Cells(Features.from_arrow_schema(schema))
        groups = [
            (f, g, head.metadata.row_group(g))
            for f, head in enumerate(heads)
            for g in range(head.num_row_groups)
        ]
        self._groups = [(file, group) for file, group, _ in groups]
        self._starts = np.cumsum([0, *(meta.num_rows for _, _, meta in groups)])
        self.largest_group = max((meta.total_byte_size for _, _, meta in groups), default=0)
        """Bytes of the largest row group, uncompressed."""
        self._open: dict[int, pq.ParquetFile] = {}
        self._held: tuple[int, pa.Table] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}, "_held": None}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, number: int) -> dict[str, Any]:
        return next(self.rows([range(len(self))[number]]))

    def rows(self, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        """The rows of these numbers; neighbours in a row group are read together."""
        where = np.asarray(numbers, dtype=np.int64)
        groups = np.searchsorted(self._starts, where, side="right") - 1
        breaks = np.flatnonzero((np.diff(groups) != 0) | (np.diff(where) != 1)) + 1
        for run in np.split(np.arange(len(where)), breaks):
            if len(run) == 0:
                continue
            group = int(groups[run[0]])
            first = int(where[run[0]] - self._starts[group])
            for start in range(first, first + len(run), ROWS_AT_ONCE):
                length = min(ROWS_AT_ONCE, first + len(run) - start)
                for row in self._group(group).slice(start, length).to_pylist():
                    yield self._cells(row)

    def only(self, columns: Sequence[str]) -> ParquetTable:
        """The same rows with these columns alone."""
        return ParquetTable(self._files, columns)

    def _group(self, number: int) -> pa.Table:
        if self._held is None or self._held[0] != number:
            self._held = None  # let go before the next one is read
            file, group = self._groups[number]
            if file not in self._open:
                self._open[file] = pq.ParquetFile(self._files[file])
            self._held = (number, self._open[file].read_row_group(group, columns=self.columns))
        return self._held[1]


def parquet_rows(files: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of parquet files one after the other, whatever the size of their row groups."""
    for file in files:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=ROWS_AT_ONCE):
                yield from batch.to_pylist()


class Cells:
    """What `datasets` stores in code, spelled out: class labels by name, JSON cells as data."""

    def __init__(self, features: Any):
        self._labels = {k: f for k, f in features.items() if isinstance(f, datasets.ClassLabel)}
        self._json = {k: f for k, f in features.items() if isinstance(f, datasets.Json)}

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        for name, label in self._labels.items():
            if isinstance(row.get(name), int) and 0 <= row[name] < len(label.names):
                row[name] = label.int2str(row[name])
        for name, feature in self._json.items():
            if isinstance(row.get(name), str):
                row[name] = feature.decode_example(row[name])
        return row
