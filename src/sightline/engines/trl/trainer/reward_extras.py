"""What rewards say of single rollouts beside their numbers (TRL's `log_extra`), kept with the rollouts.

TRL appends extras to its table in the order of the calls. Dynamic sampling asks for the rewards of candidates
and puts a batch together later, so extras wait with their rollouts until the batch is known.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any


class RewardExtras:
    """Moves extras between TRL's pending columns and rows."""

    def __init__(self, trainer: Any):
        self.trainer = trainer
        self._names: set[str] = set()

    def take(self, count: int) -> list[dict[str, Any]]:
        """The extras of the `count` own rows that were just rewarded, out of TRL's pending columns."""
        pending: MutableMapping[str, list[Any]] = self.trainer._pending_extra_logs
        rows = [{name: values[row] for name, values in pending.items()} for row in range(count)]
        pending.clear()
        return rows

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Hand TRL the extras of the batch's own rows; a name that was given once stays a column."""
        found = sorted({name for row in rows for name in row})
        self._names |= set(self.trainer.ranks.gather_items(found))
        for name in self._names:
            self.trainer._pending_extra_logs[name] = [row.get(name) for row in rows]


def even_columns(extras: MutableMapping[str, Any]) -> None:
    """Make every column one kind, as tables want it: numbers, or text where any value is text."""
    for name, values in extras.items():
        if any(isinstance(value, str) for value in values):
            said = [value if value is None or isinstance(value, str) else str(value) for value in values]
            extras[name] = type(values)(said, maxlen=values.maxlen)
