"""What lies under a local path: data files by split, a saved dataset, or a folder of images."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, Value
from datasets.exceptions import DatasetGenerationError

from ...errors import UserError
from .encodings import refuse_other_encodings
from .tables import ParquetTable

KINDS = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".arrow": "arrow",
}

MOST_FILES = 20_000
"""Files and folders a folder may hold to be searched for data by their names."""

_ABOUT_DATA = ("dataset_infos.json", "dataset_info.json", "dataset_dict.json", "config.json", "state.json")
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}
"""Words of a file's name that say its split, as `datasets` reads them."""


@dataclass(frozen=True)
class LocalFiles:
    """Data files that `datasets` can read, and the folder image paths are relative to."""

    kind: str
    """A packaged builder of `datasets`, or "saved" for what `save_to_disk` wrote."""
    splits: dict[str, list[str]]
    folder: Path

    def folder_of(self, split: str) -> Path:
        """What image paths of a split are relative to: a metadata file's own folder, else `folder`."""
        files = self.splits.get(split, [])
        beside = len(files) == 1 and Path(files[0]).stem == "metadata"
        return Path(files[0]).parent if beside else self.folder


def local_files(path: Path) -> LocalFiles:
    """The data files under a file or folder.

    A folder holds what `save_to_disk` wrote, or images with a metadata file (`metadata.jsonl`, `.csv` or
    `.parquet`, in it or in one subfolder per split), or data files whose names say the split.

    Raises:
        UserError: nothing readable is there, or files of several kinds.
    """
    if path.is_file():
        if path.suffix.lower() not in KINDS:
            raise UserError(f"{path} is no data file; expected {', '.join(KINDS)} or a folder")
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty; expected rows with questions and answers")
        return LocalFiles(KINDS[path.suffix.lower()], {"train": [str(path)]}, path.parent)
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        return LocalFiles("saved", {}, path)
    return _metadata(path) or _data_files(path)


def _metadata(folder: Path) -> LocalFiles | None:
    names = [f"metadata{suffix}" for suffix in (".jsonl", ".csv", ".parquet")]
    here = [folder / name for name in names if (folder / name).is_file()]
    below = [file for name in names for file in sorted(folder.glob(f"*/{name}"))]
    files = here or below
    if not files:
        return None
    if len({file.suffix for file in files}) > 1:
        raise UserError(
            f"{folder} has metadata files of several kinds: {', '.join(map(str, files))}; keep one kind"
        )
    splits = {"train" if file in here else file.parent.name: [str(file)] for file in files}
    return LocalFiles(KINDS[files[0].suffix], splits, folder)


def _data_files(folder: Path) -> LocalFiles:
    expected = "expected parquet, JSON, JSONL, CSV or arrow files, or images with a metadata.jsonl"
    if _holds_more(folder, MOST_FILES):
        if beside := _beside_images(folder):
            return beside
        raise UserError(
            f"{folder} holds more than {MOST_FILES:,} files and folders, and no data file of its own; "
            "name the data file, or the folder it lies in"
        )
    try:
        builder = datasets.load_dataset_builder(str(folder))
    except (OSError, ValueError, TypeError) as error:
        if beside := _beside_images(folder):
            return beside
        why = first_line(error)
        if isinstance(error, OSError) and error.strerror and error.filename:
            why = f"{error.filename}: {error.strerror}"
        raise UserError(f"{folder} holds no data: {why}; {expected}") from error
    kind = str(builder.name)
    if kind not in set(KINDS.values()):
        if beside := _beside_images(folder):
            return beside
        raise UserError(
            f"{folder} looks like {kind} to `datasets`, without questions and answers; {expected}"
        )
    splits = {
        str(split): [str(file) for file in files]
        for split, files in dict(builder.config.data_files or {}).items()
    }
    if remote := [file for files in splits.values() for file in files if "://" in file]:
        raise UserError(f"{folder} refers to {remote[0]}; expected local files only")
    if any(Path(file).suffix.lower() not in KINDS for files in splits.values() for file in files):
        return _beside_images(folder) or LocalFiles(kind, splits, folder)
    return LocalFiles(kind, splits, folder)


def _holds_more(folder: Path, most: int) -> bool:
    count = 0
    for _, folders, files in os.walk(folder):
        count += len(folders) + len(files)
        if count > most:
            return True
    return False


def _beside_images(folder: Path) -> LocalFiles | None:
    """Data files that lie in the folder itself, whatever is in the folders beside them."""
    files = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in KINDS and file.name not in _ABOUT_DATA and file.is_file()
    ]
    kinds = {KINDS[file.suffix.lower()] for file in files}
    if len(kinds) > 1:
        raise UserError(
            f"{folder} has data files of several kinds: {', '.join(file.name for file in files)}; name one"
        )
    splits: dict[str, list[str]] = {}
    for file in files:
        words = re.split(r"[^a-z]+", file.stem.lower())
        split = next((_SPLITS[word] for word in words if word in _SPLITS), "train")
        splits.setdefault(split, []).append(str(file))
    return LocalFiles(kinds.pop(), splits, folder) if files else None


def reading_options(kind: str, file: str) -> dict[str, Any]:
    """Options for `load_dataset` under which cells stay as they are written.

    Images stay encoded bytes (so nothing is copied or decoded), and every CSV cell stays text
    (so "NA", "007" and "1e3" survive).

    Raises:
        UserError: the file's header cannot be read.
    """
    try:
        if kind == "parquet":
            return {"features": undecoded(Features.from_arrow_schema(pq.read_schema(file)))}
        if kind == "csv":
            refuse_other_encodings(file)
            separator = "\t" if file.lower().endswith(".tsv") else ","
            with open(file, encoding="utf-8-sig", newline="") as lines:
                header = next(csv.reader(lines, delimiter=separator), [])
            named = [name or f"Unnamed: {place}" for place, name in enumerate(header)]  # pandas' index
            text = Features({name: Value("string") for name in named})
            return {"features": text, "keep_default_na": False, "encoding": "utf-8-sig", "sep": separator}
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise UserError(f"cannot read {file}: {first_line(error)}") from error
    return {}


def parquet_table(files: list[str]) -> ParquetTable:
    """Parquet files as they lie.

    Raises:
        UserError: one cannot be read, or has other columns than the first.
    """
    file = ""
    try:
        names = None
        for file in files:
            found = pq.read_schema(file).names
            if names is not None and set(found) != set(names):
                raise UserError(
                    f"{file} has the columns {', '.join(found)}, but {files[0]} has {', '.join(names)}"
                )
            names = names or found
        return ParquetTable(files)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot read {file}: {first_line(error)}; expected a parquet file") from error


def undecoded(features: Any) -> Any:
    """Features with every image as the struct of bytes and path it is stored as."""
    if isinstance(features, Image):
        return {"bytes": Value("binary"), "path": Value("string")}
    if isinstance(features, dict):
        plain = {name: undecoded(inner) for name, inner in features.items()}
        return Features(plain) if isinstance(features, Features) else plain
    if isinstance(features, datasets.List | datasets.LargeList):
        return type(features)(undecoded(features.feature))
    return features


def first_line(error: BaseException) -> str:
    """The first line of an error's own cause, without what was wrapped around it."""
    while isinstance(error, DatasetGenerationError) and error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else type(error).__name__
