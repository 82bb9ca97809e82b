"""A task's problems as the rows TRL trains on, drawn or decoded only when they are sampled from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from ....errors import UserError
from ....tasks.problem import Problem, Task
from ....tasks.reward_columns import by_column, ours, with_row
from ...image_placeholders import without_forged_images

INDEX = "index"
INVALID = "invalid"
COLUMNS = "columns"
"""Of a row: every column that the problem's own row has, which only rewards are shown."""


def training_rows(task: Task, problems: Sequence[Problem], placeholders: Sequence[str] = ()) -> Dataset:
    """A dataset with the columns `prompt`, `images`, `answer`, `accepted_answers`, `choices`,
    `id`, `kind`, `invalid`, `columns`.

    Text that holds one of the `placeholders`, which a processor takes for an image, is given without it;
    `invalid` then says so, and is None otherwise.

    Raises:
        UserError: the task has no problems.
    """
    if len(problems) == 0:
        raise UserError(f"task {task.name!r} has no training rows; expected at least one problem")

    def read(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        found = [problems[index] for index in batch[INDEX]]
        asked = [without_forged_images(task.messages(problem), placeholders) for problem in found]
        return {
            "prompt": [messages for messages, _ in asked],
            INVALID: [reason for _, reason in asked],
            **by_column([ours(problem) for problem in found]),
            COLUMNS: [problem.columns for problem in found],
        }

    return Dataset.from_dict({INDEX: range(len(problems))}).with_transform(read)


def told_rewards(rows: Sequence[Mapping[str, Any]], *, whole: bool, opening: str) -> list[dict[str, Any]]:
    """Rows as TRL hands them on to rewards: all with the same columns, their own row's among them if `whole`,
    and `opening`, what the prompt has begun of the response."""
    told = []
    for row in rows:
        own = {name: value for name, value in row.items() if name != COLUMNS} | {"opening": opening}
        told.append(with_row(own, row[COLUMNS]) if whole and COLUMNS in row else own)
    columns = by_column(told)
    return [{name: values[number] for name, values in columns.items()} for number in range(len(told))]


class LazyRows:
    """Rows that are read when a batch is sampled, each once.

    TRL's loader asks for every prompt G times, and for the whole rollout batch again before each of the
    optimizer steps that it feeds. It is given numbers instead, which cost nothing.
    """

    def __init__(self, dataset: Any):
        self._lazy = isinstance(dataset, Dataset) and dataset.column_names == [INDEX]
        self._rows: Any = dataset
        self.numbers: Any = dataset.with_format(None) if self._lazy else dataset
        """What the loader reads: the numbers of the rows, or `dataset` itself if it has no such numbers."""

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows behind their numbers; rows of one prompt share their images."""
        if not self._lazy or any(row.keys() != {INDEX} for row in rows):
            return list(rows)
        return self.at([row[INDEX] for row in rows])

    def at(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of these numbers."""
        found = {number: self._rows[number] for number in dict.fromkeys(numbers)}
        return [dict(found[number]) for number in numbers]
