"""Where rows come from: a hub id with its commit, local files, or a dataset in memory, by `datasets`."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, DatasetDict, Features, IterableDataset

from ...errors import UserError, unknown_name
from .json_rows import JsonTable, json_rows
from .known_datasets import KNOWN, KnownSet
from .local_files import (
    KINDS,
    LocalFiles,
    first_line,
    local_files,
    parquet_table,
    reading_options,
    undecoded,
)
from .tables import MOST_GROUP_BYTES, ArrowTable, Cells, Table, parquet_rows

ANSWER_IS = ("index", "letter", "text")


@dataclass(frozen=True)
class Source:
    """A set as a recipe names it."""

    source: str | Dataset | DatasetDict
    """A path, a hub id, or a dataset in memory."""
    revision: str | None = None
    """Commit, tag or branch of a hub set."""
    config: str | None = None
    """Configuration of a hub set that has several."""
    split: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    weight: float | None = None
    """Share of this set in a mixture."""
    test: Source | None = None
    """The held-out rows, if they lie elsewhere."""
    image_dir: str | None = None
    """Folder that image paths are relative to and may not leave; by default the data file's own."""
    answer_is: str | None = None
    """What golds beside choices are: `index` (0 is the first), `letter` or `text`; None: it has to show."""
    name: str | None = None
    """How problems and messages call the set; by default the last part of the path or id."""

    @property
    def known(self) -> KnownSet | None:
        """What is known of a published set."""
        return KNOWN.get(self.source) if isinstance(self.source, str) else None

    @property
    def title(self) -> str:
        """A short name."""
        if self.name:
            return self.name
        return Path(self.source).name if isinstance(self.source, str) else "rows"


def parse_source(spec: Any) -> Source:
    """A source as YAML gives it: a path, a hub id, or a mapping with the fields of `Source`.

    Raises:
        UserError: a key is unknown, or a value has the wrong type.
    """
    if isinstance(spec, Source):
        return spec
    if isinstance(spec, str | os.PathLike | Dataset | DatasetDict):
        return Source(os.fspath(spec) if isinstance(spec, os.PathLike) else spec)
    if not isinstance(spec, Mapping):
        raise UserError(f"a task is a name, a path, a hub id or a mapping with `source`, got {spec!r:.80}")
    known = [entry.name for entry in fields(Source)]
    for key in spec:
        if key not in known:
            raise unknown_name("key of a source:", str(key), known)
    if not isinstance(spec.get("source"), str | os.PathLike | Dataset | DatasetDict):
        raise UserError(f"a source needs `source: PATH or HUB_ID`, got {dict(spec)!r:.200}")
    for key in ("revision", "config", "split", "image_dir", "name"):
        if not isinstance(spec.get(key), str | None):
            raise UserError(
                f"{key} of a source must be text (in quotes, if it looks like a number), got {spec[key]!r}"
            )
    if spec.get("answer_is") not in (None, *ANSWER_IS):
        raise unknown_name("answer_is of a source:", str(spec["answer_is"]), ANSWER_IS)
    columns, weight = spec.get("columns") or {}, spec.get("weight")
    if not isinstance(columns, Mapping):
        raise UserError(
            f"columns must be a mapping such as {{question: problem, answer: answer}}, got {columns!r}"
        )
    if weight is not None and (
        isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e9
    ):
        raise UserError(f"weight of a source must be a number above 0, got {weight!r}")
    place = spec["source"]
    test = parse_source(spec["test"]) if spec.get("test") is not None else None
    given = {**spec, "columns": dict(columns), "test": test}
    return Source(**given | {"source": os.fspath(place) if isinstance(place, os.PathLike) else place})


class OpenedSource:
    """A source that has been found: its splits, and the tables behind them."""

    def __init__(self, source: Source):
        self.source = source
        self.revision: str | None = source.revision
        self._memory: Dataset | DatasetDict | None = None
        self._files: LocalFiles | None = None
        self._builder: Any = None
        if not isinstance(source.source, str):
            self._memory = source.source
        elif (path := Path(source.source).expanduser()).exists():
            self._open_local(path)
        else:
            self._open_hub(source.source)
        if source.image_dir is not None and not Path(source.image_dir).expanduser().is_dir():
            raise UserError(f"image_dir {source.image_dir} is no folder")

    def folder(self, split: str) -> Path | None:
        """What image paths of a split are relative to and may not leave; None: they may name no file."""
        if self.source.image_dir is not None:
            return Path(self.source.image_dir).expanduser()
        return self._files.folder_of(split) if self._files is not None else None

    def _open_local(self, path: Path) -> None:
        if self.source.revision or self.source.config:
            raise UserError(f"{path} is a local set; revision and config belong to hub sets")
        self._files = local_files(path)
        if self._files.kind == "saved":
            try:
                self._memory = datasets.load_from_disk(str(path))
            except (OSError, ValueError) as error:
                raise UserError(f"cannot read the saved dataset {path}: {first_line(error)}") from error

    def _open_hub(self, name: str) -> None:
        if name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).suffix.lower() in KINDS:
            raise UserError(
                f"{name} does not exist; expected a data file, a folder, or a hub id such as {min(KNOWN)}"
            )
        if "/" not in name:
            raise unknown_name("task", name, ["shapes", "shapes-2", *KNOWN])
        self.revision = self.revision or (self.source.known.revision if self.source.known else None)
        try:
            self._builder = datasets.load_dataset_builder(name, self.source.config, revision=self.revision)
        except Exception as error:  # the hub's client raises across five libraries
            raise _unreachable(name, self.revision, error) from error
        self.revision = str(self._builder.hash) if self._builder.hash else self.revision

    @property
    def splits(self) -> list[str]:
        """Names of the splits, in the order of the source."""
        if isinstance(self._memory, DatasetDict):
            return [str(split) for split in self._memory]
        if isinstance(self._memory, Dataset):
            return [str(self._memory.split or "train")]
        if self._files is not None:
            return list(self._files.splits)
        if self._builder.info.splits:
            return [str(split) for split in self._builder.info.splits]
        return [str(split) for split in dict(self._builder.config.data_files or {})] or ["train"]

    def chosen(self, wanted: Sequence[str | None]) -> str:
        """The first of `wanted` splits that exists, else the only one there is.

        Raises:
            UserError: there are several splits and none is wanted.
        """
        explicit = self.source.split
        candidates = [explicit] if explicit else [split for split in wanted if split]
        for split in candidates:
            if split in self.splits:
                return split
        if explicit or len(self.splits) != 1:
            asked = explicit or " or ".join(candidates)
            raise unknown_name(f"split of {self.source.title}:", asked, self.splits)
        return self.splits[0]

    def table(self, split: str) -> Table:
        """The rows of a split: parquet files in place, others converted once to a memory-mapped cache.

        Raises:
            UserError: the files do not fit together, are damaged, or cannot be fetched.
        """
        if self._files is not None and self._files.kind == "parquet":
            in_place = parquet_table(self._files.splits[split])
            if in_place.largest_group <= MOST_GROUP_BYTES:
                return in_place
        if self._files is not None and self._files.kind == "json":
            return self._json(split)
        return ArrowTable(self._load(split, streaming=False))

    def stream(self, split: str) -> tuple[IterableDataset, Any]:
        """The rows of a split one after the other, never all on disk; with their features, if known."""
        if self._memory is not None:
            return self._load(split, streaming=False).to_iterable_dataset().decode(False), None
        if self._files is not None and self._files.kind == "parquet":
            files = self._files.splits[split]
            coded = Features.from_arrow_schema(parquet_table(files).schema)
            return IterableDataset.from_generator(parquet_rows, gen_kwargs={"files": files}), coded
        if self._files is not None and self._files.kind == "json":
            return IterableDataset.from_generator(
                json_rows, gen_kwargs={"files": self._files.splits[split]}
            ), None
        loaded = self._load(split, streaming=True)
        return (loaded.decode(False) if loaded.features is not None else loaded), loaded.features

    def _json(self, split: str) -> JsonTable:
        """The rows of JSON files, every cell as it is written."""
        assert self._files is not None
        table = JsonTable(self._files.splits[split])
        if not len(table):
            raise UserError(f"{self.source.source}, {split}: it holds no rows")
        return table

    def cells(self, features: Any) -> Cells:
        """The reader of a stream's coded cells."""
        return Cells(features or {})

    def stated_rows(self, split: str) -> int | None:
        """How many rows the source says it has, without a walk."""
        if self._memory is not None:
            return len(self._load(split, streaming=False))
        if self._files is not None and self._files.kind == "parquet":
            return len(parquet_table(self._files.splits[split]))
        stated = self._builder.info.splits if self._builder is not None else None
        return int(stated[split].num_examples) if stated and split in stated else None

    def _load(self, split: str, streaming: bool) -> Any:
        if isinstance(self._memory, DatasetDict):
            return self._memory[split]
        if isinstance(self._memory, Dataset):
            return self._memory
        try:
            if self._files is not None:
                files = self._files.splits[split]
                options = reading_options(self._files.kind, files[0])
                return datasets.load_dataset(
                    self._files.kind,
                    data_files={split: [glob.escape(file) for file in files]},
                    split=split,
                    streaming=streaming,
                    **options,
                )
            info = self._builder.info
            plain = (
                {"features": undecoded(info.features)}
                if self._builder.name == "parquet" and info.features
                else {}
            )
            return datasets.load_dataset(
                str(self.source.source),
                self.source.config,
                split=split,
                revision=self.revision,
                streaming=streaming,
                **plain,
            )
        except UserError:
            raise
        except Exception as error:
            if self._files is None:
                raise _unreachable(str(self.source.source), self.revision, error) from error
            if "corresponds to no data" in str(error):
                raise UserError(f"{self.source.source}, {split}: it holds no rows") from error
            raise UserError(
                f"cannot read {self.source.source}: {first_line(error)}; expected files of one schema, "
                "with text in the question and answer columns"
            ) from error


def _unreachable(name: str, revision: str | None, error: Exception) -> UserError:
    at = f" at revision {revision}" if revision else ""
    return UserError(
        f"cannot load {name}{at} from the hub: {first_line(error)}. If it is private or gated, accept its "
        "terms and set HF_TOKEN; without a network, fetch it elsewhere "
        f"(hf download {name} --repo-type dataset --local-dir DIR) and name that folder as the source"
    )
