"""Rows that are conversations: LLaVA's `conversations`, chat `messages`, TRL's and verl's `prompt`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .prompts import MARKER
from .row_errors import Fault, UnusableRow

_ASKS = frozenset({"user", "human"})
_ANSWERS = frozenset({"assistant", "gpt", "model"})


def cell_at(row: Mapping[str, Any], path: str) -> Any:
    """A cell by its column, or by a path into one (`reward_model.ground_truth`); None where it ends early."""
    if path in row or "." not in path:
        return row[path]
    column, *rest = path.split(".")
    cell: Any = row[column]
    for name in rest:
        cell = cell.get(name) if isinstance(cell, Mapping) else None
    return cell


def is_conversation(cell: Any) -> bool:
    """Whether a cell is a list of turns."""
    return isinstance(cell, list | tuple) and bool(cell) and all(_is_turn(turn) for turn in cell)


def question_of(turns: Sequence[Mapping[str, Any]]) -> str:
    """What is asked: the one user turn, behind what a system turn says.

    Raises:
        UnusableRow: nobody asks, or several turns do.
    """
    asked = [_said(turn) for turn in turns if _role(turn) in _ASKS]
    if len(asked) != 1:
        raise UnusableRow(
            Fault.WRONG_TYPE, f"the conversation has {len(asked)} questions, expected one; split it into rows"
        )
    system = [_said(turn) for turn in turns if _role(turn) == "system"]
    return "\n\n".join([*(text for text in system if text.strip()), *asked])


def answer_of(turns: Sequence[Mapping[str, Any]]) -> str:
    """What the assistant's one turn says."""
    said = [_said(turn) for turn in turns if _role(turn) in _ANSWERS]
    return said[-1] if said else ""


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, Mapping) and ({"role", "content"} <= set(turn) or {"from", "value"} <= set(turn))


def _role(turn: Mapping[str, Any]) -> str:
    return str(turn["role"] if "role" in turn else turn["from"]).lower()


def _said(turn: Mapping[str, Any]) -> str:
    content = turn["content"] if "content" in turn else turn["value"]
    if isinstance(content, list | tuple):
        return "".join(_part(part) for part in content)
    return "" if content is None else str(content)


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return str(part)
    kind = str(part.get("type") or ("image" if part.get("image") else "text"))
    return MARKER if kind.startswith("image") else str(part.get("text") or "")
