"""Rows of JSON and JSON-lines files, every cell as it is written: 0.50 stays "0.50", "08" stays "08".

`datasets` fits a type to a column, and text that looks like a number or a date is parsed with it.
Here nothing is converted. Numbers come as `WrittenNumber`, so that a reader can still tell 1 from "1".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...errors import UserError
from .encodings import refuse_other_encodings

_SPACE = " \t\r\n"
_DEEPEST = 200
"""Lists and mappings within each other in a row; few enough for code that calls itself for each of them."""


class WrittenNumber(str):
    """A JSON number as text, letter by letter."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_float=WrittenNumber, parse_int=WrittenNumber, parse_constant=WrittenNumber)


def plain(value: Any) -> Any:
    """A cell as Python's own values: numbers as numbers again, to any depth."""
    if isinstance(value, WrittenNumber):
        try:
            return json.loads(value)
        except ValueError:  # more digits than Python reads
            return str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


class JsonTable:
    """Rows of JSON files, found by their place in the file and parsed when they are asked for."""

    def __init__(self, files: Sequence[str], columns: Sequence[str] | None = None):
        self._files = [str(file) for file in files]
        found: dict[str, None] = {}
        places: list[tuple[int, int, int]] = []
        for number, file in enumerate(self._files):
            for start, end, row in _placed(file):
                places.append((number, start, end))
                found.update(dict.fromkeys(row))
        self._places = np.asarray(places, dtype=np.int64).reshape(-1, 3)
        self.columns: list[str] = list(found if columns is None else columns)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return next(self.rows([range(len(self))[number]]))

    def rows(self, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        """The rows of these numbers, read one after the other."""
        opened, which = None, -1
        try:
            for number in numbers:
                file, start, end = map(int, self._places[int(number)])
                if file != which:
                    if opened is not None:
                        opened.close()
                    opened, which = open(self._files[file], "rb"), file  # noqa: SIM115 (closed below)
                assert opened is not None
                opened.seek(start)
                row = _DECODER.decode(opened.read(end - start).decode("utf-8"))
                yield {name: _cell(row.get(name)) for name in self.columns}
        finally:
            if opened is not None:
                opened.close()

    def only(self, columns: Sequence[str]) -> JsonTable:
        """The same rows with these columns alone."""
        same = JsonTable.__new__(JsonTable)
        same._files, same._places, same.columns = self._files, self._places, list(columns)
        return same


def json_rows(files: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of JSON files one after the other, as they are written; all with the same columns."""
    table = JsonTable(files)
    yield from table.rows(range(len(table)))


def _cell(value: Any) -> Any:
    """A cell with `true` and `false` as they are written."""
    if isinstance(value, bool):
        return WrittenNumber("true" if value else "false")
    if isinstance(value, list):
        return [_cell(item) for item in value]
    if isinstance(value, dict):
        return {name: _cell(item) for name, item in value.items()}
    return value


def _placed(file: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Every row of a file with its first byte and the one behind its last."""
    refuse_other_encodings(file)
    with open(file, "rb") as lines:
        first = next((line for line in lines if line.strip(b" \t\r\n\xef\xbb\xbf")), b"").lstrip(
            b"\xef\xbb\xbf"
        )
        if first.lstrip()[:1] != b"[" and _is_value(first):
            lines.seek(0)
            yield from _by_line(file, lines)
            return
    yield from _by_value(file)


def _is_value(line: bytes) -> bool:
    try:
        _DECODER.decode(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return True


def _by_line(file: str, lines: Any) -> Iterator[tuple[int, int, dict[str, Any]]]:
    start = 0
    for number, line in enumerate(lines, 1):
        begin, start = start, start + len(line)
        if number == 1 and line.startswith(b"\xef\xbb\xbf"):
            begin, line = begin + 3, line[3:]
        if line.strip():
            yield begin, start, _row(file, line, f"line {number}")


def _row(file: str, line: bytes, where: str) -> dict[str, Any]:
    try:
        row = _DECODER.decode(line.decode("utf-8").strip(_SPACE))
    except (ValueError, RecursionError) as error:
        raise UserError(f"cannot read {file}, {where}: {error}; expected one JSON object per line") from error
    return _object(file, row, where)


def _by_value(file: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """The objects of one list, or of a file of objects spread over lines."""
    with open(file, encoding="utf-8-sig") as opened:
        try:
            text = opened.read()
        except UnicodeDecodeError as error:
            raise UserError(f"cannot read {file}: {error}; expected UTF-8 text") from error
    with open(file, "rb") as opened_again:
        behind_mark = 3 if opened_again.read(3) == b"\xef\xbb\xbf" else 0
    position, at_byte, at_character = 0, behind_mark, 0
    listed = text.lstrip(_SPACE)[:1] == "["
    position = text.index("[") + 1 if listed else 0
    number = 0
    while True:
        while position < len(text) and text[position] in _SPACE + ("," if listed else ""):
            position += 1
        if position >= len(text) or (listed and text[position] == "]"):
            if listed and position >= len(text):
                raise UserError(f"cannot read {file}: its list does not end; the file may be cut short")
            return
        number += 1
        try:
            row, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"cannot read {file}, value {number}: {error}; expected a list of JSON objects"
            ) from error
        start_byte = at_byte + len(text[at_character:position].encode("utf-8", "surrogatepass"))
        at_byte = start_byte + len(text[position:end].encode("utf-8", "surrogatepass"))
        at_character = end
        yield start_byte, at_byte, _object(file, row, f"value {number}")
        position = end


def _object(file: str, row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise UserError(
            f"cannot read {file}, {where}: it is {type(row).__name__}, expected one JSON object per row: "
            '{"question": ..., "answer": ...}'
        )
    if _is_deeper(row, _DEEPEST):
        raise UserError(
            f"cannot read {file}, {where}: lists or mappings are nested more than {_DEEPEST} deep; take that "
            "row out"
        )
    return row


def _is_deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        inner = [
            one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)
        ]
        if not inner:
            return False
        level = [part for parts in inner for part in parts]
    return any(isinstance(one, dict | list) for one in level)
