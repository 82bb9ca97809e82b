"""The options of a row: a list, a mapping from letters or numbers, either of them as JSON text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from ...plain_files import Refused, parse_json
from .row_errors import Fault, UnusableRow

MOST = len(ascii_uppercase)


def option_list(cell: Any) -> list[Any] | None:
    """The values of A, B, ... in their order, None where a mapping names no such letter.

    A mapping from letters keeps them ({A, C, D}: B is none), one from numbers goes by their size, any other
    by its own order; empty fields at its end are left out. Labels that repeat the letter are taken off.

    Raises:
        UnusableRow: it is no list or mapping, or has more than 26 options.
    """
    if isinstance(cell, str) and cell.strip():
        try:
            cell = parse_json(cell)
        except Refused as error:
            raise UnusableRow(
                Fault.WRONG_TYPE, f"choices are text that is no JSON list: {cell[:60]!r}"
            ) from error
    if isinstance(cell, Mapping):
        cell = _in_places(cell)
    if cell is None or (isinstance(cell, str | list | tuple) and len(cell) == 0):
        return None
    if not isinstance(cell, list | tuple):
        raise UnusableRow(Fault.WRONG_TYPE, f"choices are {type(cell).__name__}, expected a list")
    if len(cell) > MOST:
        raise UnusableRow(Fault.WRONG_TYPE, f"{len(cell)} options, but only {MOST} letters to name them")
    return _without_labels(cell)


def _in_places(cell: Mapping[Any, Any]) -> list[Any]:
    names = [str(name).strip() for name in cell]
    values = list(cell.values())
    if names and all(re.fullmatch("[A-Za-z]", name) for name in names):
        by_letter = {name.upper(): value for name, value in zip(names, values, strict=True)}
        if len(by_letter) == len(names):
            last = max((name for name, value in by_letter.items() if value is not None), default="")
            return [by_letter.get(letter) for letter in ascii_uppercase if letter <= last]
    if names and all(name.isdecimal() for name in names):
        values = [value for _, value in sorted(zip(map(int, names), values, strict=True), key=lambda e: e[0])]
    return [value for value in values if value is not None]


def _without_labels(cell: Sequence[Any]) -> list[Any]:
    """Values without "A.", "(B)" in front, if every one carries its own letter."""
    marks = [
        re.match(rf"\s*(?:\(\s*{letter}\s*\)|{letter}\s*[.:)：．、）])\s*(?=\S)", value)
        if isinstance(value, str) else None
        for letter, value in zip(ascii_uppercase, cell, strict=False)
    ]  # fmt: skip
    named = [value is None or mark is not None for value, mark in zip(cell, marks, strict=True)]
    if len(cell) < 2 or not all(named):
        return list(cell)
    return [value if mark is None else value[mark.end() :] for value, mark in zip(cell, marks, strict=True)]
