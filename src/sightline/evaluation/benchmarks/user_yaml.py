"""A user's benchmarks from a YAML file: one entry each, the same checks as for the published ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from ...errors import UserError
from ...plain_files import Refused, read_yaml
from ...value_checks import between, known_names, one_of
from .benchmark import Benchmark, Split
from .readers import PlainColumns
from .row import Rule

_KEYS = (
    "source",
    "split",
    "config",
    "revision",
    "rows",
    "columns",
    "labels",
    "only",
    "tolerance",
    "relative_tolerance",
    "paired",
    "rule",
    "max_new_tokens",
    "note",
)
_ROLES = ("question", "answer", "answers", "images", "choices", "cluster")


def read_benchmarks(path: str | Path) -> dict[str, Benchmark]:
    """The benchmarks of a YAML file: name -> source, columns, and what else is known.

    Raises:
        UserError: the file cannot be read, or an entry lacks its source or columns, or has an unknown key.
    """
    try:
        found = read_yaml(path)
    except OSError as error:
        raise UserError(f"cannot read the benchmarks of {path}: {error}") from error
    except Refused as error:
        raise UserError(f"cannot read the benchmarks of {path}: it {error}") from error
    if not isinstance(found, Mapping) or not found:
        raise UserError(f"{path} holds no benchmarks; expected a mapping from names to source and columns")
    return {str(name): _benchmark(str(name), entry, Path(path)) for name, entry in found.items()}


def _benchmark(name: str, entry: Any, file: Path) -> Benchmark:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("source"), str):
        raise UserError(f"{file}: benchmark {name} needs `source: PATH or HUB_ID`, got {entry!r:.120}")
    known_names(f"key of benchmark {name}:", entry, _KEYS)
    for key in ("split", "config", "revision", "note"):
        if not isinstance(entry.get(key, ""), str):
            raise UserError(f"{file}: {key} of benchmark {name} must be text, got {entry[key]!r}")
    rows = between(1, whole=True, optional=True)(f"rows of benchmark {name}", entry.get("rows"))
    length = between(1, whole=True)(f"max_new_tokens of benchmark {name}", entry.get("max_new_tokens", 2048))
    layout = _layout(name, entry)
    beside = file.parent / entry["source"]
    source = str(beside) if beside.exists() else entry["source"]
    return Benchmark(
        source,
        (Split(entry.get("split", ""), ""),),
        layout,
        layout.columns,
        rows,
        config=entry.get("config"),
        max_new_tokens=length,
        aggregate="paired" if layout.paired else None,
        revision=entry.get("revision"),
        note=entry.get("note", ""),
    )


def _layout(name: str, entry: Mapping[str, Any]) -> PlainColumns:
    columns, labels, only, paired = (entry.get(key) or {} for key in ("columns", "labels", "only", "paired"))
    for what, given in (("columns", columns), ("labels", labels), ("only", only), ("paired", paired)):
        lists = {role for role, value in given.items() if role == "images" and _is_names(value)} if (
            what == "columns" and isinstance(given, Mapping)
        ) else set()  # fmt: skip
        if not isinstance(given, Mapping) or not all(
            isinstance(value, str) for role, value in given.items() if role not in lists
        ):
            raise UserError(f"{what} of benchmark {name} must map names to text, got {given!r:.120}")
    known_names(f"role in columns of benchmark {name}:", columns, _ROLES)
    golds = "answers" if "answer" not in columns and "answers" in columns else "answer"
    missing = [role for role in ("question", golds) if role not in columns]
    if missing:
        raise UserError(
            f"benchmark {name} does not say which column holds the {' or the '.join(missing)}; expected "
            "columns: {question: ..., images: ..., answer: ...}"
        )
    tolerances = {
        key: between(0)(f"{key} of benchmark {name}", entry[key])
        for key in ("tolerance", "relative_tolerance")
        if entry.get(key) is not None
    }
    if len(tolerances) > 1:
        raise UserError(f"benchmark {name} has a tolerance and a relative_tolerance; give one of them")
    if "relative_tolerance" in tolerances and "answers" in columns:
        raise UserError(f"benchmark {name} has several answers, of which none gives the relative_tolerance")
    rule = entry.get("rule")
    if rule is not None:
        one_of(*get_args(Rule))(f"rule of benchmark {name}", rule)
    return PlainColumns(
        **{"images": None, "answer": None, **columns},
        labels=dict(labels),
        only=dict(only),
        paired=dict(paired),
        rule=rule,
        **tolerances,
    )


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)
