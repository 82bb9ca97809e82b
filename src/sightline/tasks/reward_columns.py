"""What a reward is told about problems: every column of their rows, one list per column, as under TRL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .problem import Problem

NOT_PASSED = frozenset(
    {"prompt", "prompts", "completion", "completions", "completion_ids", "trainer_state", "log_extra",
     "log_metric", "environments", "opening"}
)  # fmt: skip
"""Names under which rewards are given something else; a column of that name is not passed."""


_OF_THE_ROW_FIRST = ("id", "kind")


def ours(problem: Problem) -> dict[str, Any]:
    """What Sightline says of a problem: in `answer` the gold (a list or mapping as it is), in
    `accepted_answers` others that are as right, in `choices` the options' values, in `images` the decoded
    images, whatever the row calls them; `id` and `kind`."""
    return {
        "images": list(problem.images),
        "answer": problem.answer if problem.gold is None else problem.gold,
        "accepted_answers": list(problem.accepted),
        "choices": problem.choices,
        "id": problem.id,
        "kind": problem.kind,
    }


def with_row(own: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """`own` columns with those of the row; `id` and `kind` are the row's where it has them."""
    passed = {name: value for name, value in row.items() if name not in NOT_PASSED}
    kept = {name: value for name, value in own.items() if name not in _OF_THE_ROW_FIRST or name not in passed}
    return passed | kept


def reward_columns(problem: Problem) -> dict[str, Any]:
    """All columns of one problem, `ours` and its row's."""
    return with_row(ours(problem), problem.columns)


def by_column(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as one list per column; None where a row lacks it, as the sets of a mixture differ."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}
