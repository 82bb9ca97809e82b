"""What a benchmark is: where its rows lie, how they are read, and how many there should be."""

from __future__ import annotations

from dataclasses import dataclass

from .row import Reader


@dataclass(frozen=True)
class Split:
    """One split of a set."""

    name: str
    """Its name on the hub."""
    files: str
    """Where its files lie in a copy of the set, as a glob pattern."""


@dataclass(frozen=True)
class Benchmark:
    """One way of asking one set: a row of the table."""

    source: str
    """A hub id, a path, or the name of an embedded world."""
    splits: tuple[Split, ...]
    read: Reader
    columns: tuple[str, ...]
    """Columns that have to be there."""
    rows: int | None
    """How many problems there are; None: not known, so not checked."""
    config: str | None = None
    max_new_tokens: int = 2048
    aggregate: str | None = None
    """Key of `aggregates.AGGREGATES`: the benchmark's own score."""
    ungradable: int = 0
    """Problems known to have no gold that could be graded."""
    copy_only: bool = False
    """Its images are loose or zipped files beside the rows: only a local copy can be read."""
    revision: str | None = None
    note: str = ""
    """What a reader of the results has to know."""

    @property
    def drawn(self) -> bool:
        """Whether it is an embedded world, whose problems the program draws."""
        return not self.splits

    @property
    def folder(self) -> str:
        """The name of a local copy's folder: the last part of the hub id."""
        return self.source.rpartition("/")[2]
