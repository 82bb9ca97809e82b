"""Where a benchmark's rows are found: a local copy, a path, or the hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...tasks.loading.local_files import parquet_table
from ...tasks.loading.sources import OpenedSource, Source
from ...tasks.loading.tables import Table
from .benchmark import Benchmark, Split


@dataclass(frozen=True)
class FoundSplit:
    """The rows of one split, and where they came from."""

    name: str
    table: Table
    folder: Path | None
    """What image paths are relative to and may not leave; None: images are in the rows."""
    place: str
    revision: str | None


def find(name: str, benchmark: Benchmark, data_dir: str | Path | None) -> list[FoundSplit]:
    """Every split of a benchmark: from `data_dir/FOLDER` if that is there, else from its source.

    Raises:
        UserError: nothing is found; says what to download, what to set, and where to put a copy.
    """
    copy = _copy(benchmark, data_dir)
    if copy is not None:
        return [_from_copy(name, benchmark, part, copy) for part in benchmark.splits]
    if benchmark.copy_only:
        raise UserError(
            f"{name}: the images of {benchmark.source} are files beside its rows, so a copy is needed. "
            f"{_how_to_copy(benchmark)}; unzip what is zipped there into data/images"
        )
    return [_from_source(name, benchmark, split) for split in benchmark.splits]


def fetched(benchmark: Benchmark, data_dir: str | Path | None) -> bool:
    """Whether `find` goes to the hub, which may take long: neither drawn, nor a path, nor a copy."""
    here = benchmark.drawn or benchmark.copy_only or Path(benchmark.source).expanduser().exists()
    return not here and _copy(benchmark, data_dir) is None


def _copy(benchmark: Benchmark, data_dir: str | Path | None) -> Path | None:
    if data_dir is None:
        return None
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        raise UserError(
            f"data_dir {root} is no folder; expected one with a folder per set, such as MathVista"
        )
    found = [root / benchmark.folder, root / benchmark.source]
    return next((path for path in found if path.is_dir()), None)


def _from_copy(name: str, benchmark: Benchmark, split: Split, root: Path) -> FoundSplit:
    files = sorted(str(file) for file in root.glob(split.files) if file.is_file()) if split.files else []
    if not files:
        source = Source(str(root), split=split.name or None)
        try:
            opened = OpenedSource(source)
            chosen = opened.chosen([split.name])
            return FoundSplit(chosen, opened.table(chosen), root, str(root), None)
        except UserError as error:
            wanted = f"expected {split.files}; " if split.files else ""
            raise UserError(f"{name}: nothing readable in {root}: {wanted}{error}") from error
    if all(file.endswith(".parquet") for file in files):
        return FoundSplit(split.name, parquet_table(files), root, str(root), None)
    if len(files) > 1:
        raise UserError(
            f"{name}: {len(files)} files in {root} fit {split.files}: {', '.join(files)}; keep one"
        )
    opened = OpenedSource(Source(files[0], image_dir=str(root)))
    return FoundSplit(split.name, opened.table(opened.splits[0]), root, files[0], None)


def _from_source(name: str, benchmark: Benchmark, split: Split) -> FoundSplit:
    source = Source(
        benchmark.source,
        revision=benchmark.revision,
        config=benchmark.config,
        split=split.name or None,
    )
    try:
        opened = OpenedSource(source)
        chosen = opened.chosen(["test", "testmini", "validation"])
        table = opened.table(chosen)
    except UserError as error:
        if Path(benchmark.source).expanduser().exists():
            raise
        reason = str(error).partition("; without a network")[0]  # our own advice follows
        raise UserError(f"{name}: {reason}. Or {_how_to_copy(benchmark)}") from error
    return FoundSplit(chosen, table, opened.folder(chosen), benchmark.source, opened.revision)


def _how_to_copy(benchmark: Benchmark) -> str:
    return (
        f"hf download {benchmark.source} --repo-type dataset --local-dir DATA/{benchmark.folder}, "
        "then give --data_dir DATA"
    )


def under(folder: Path | None, cell: Any) -> Any:
    """An image's path as it lies in a copy: published sets write it from a folder above or below."""
    if folder is None or not isinstance(cell, str) or "\n" in cell or len(cell) > 400:
        return cell
    path = cell.strip().replace("\\", "/").removeprefix("./")
    candidates = [path, path.removeprefix("data/"), path.removeprefix("data/images/")]
    candidates += [f"data/{path}", f"images/{candidates[-1]}", f"data/images/{candidates[-1]}"]
    try:
        return next((one for one in candidates if (folder / one).is_file()), cell)
    except (OSError, ValueError):
        return cell
