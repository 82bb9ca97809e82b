"""The columns of a problem's row, as rewards are given them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from ..loading.json_rows import plain


class RowColumns(Mapping[str, Any]):
    """Every column of a row as plain values; the cells that no problem is made of are read at the first look.

    The column of images holds them decoded, one or a list as the cell has them.
    """

    def __init__(self, cells: Callable[[], Mapping[str, Any]], images: Mapping[str, Any]):
        self._read, self._images = cells, images

    @cached_property
    def _cells(self) -> dict[str, Any]:
        return {name: plain(cell) for name, cell in self._read().items()} | dict(self._images)

    def __getitem__(self, name: str) -> Any:
        return self._cells[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)
