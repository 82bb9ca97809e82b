"""A reward of both sides of a minimal pair: what a guess from the question alone never earns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sightline.errors import UserError

PAIR = "pair"
"""The column that both sides of a pair have in common."""


def both_right(own: Sequence[float | None], columns: Mapping[str, Any]) -> list[float | None]:
    """1 where a response and its partner are right, 0 where one is not, None where one was not judged.

    The partner of the j-th response to one side is the j-th to the other: r_aj = r_bj = own_aj · own_bj.
    `own` is 1, 0 or None for every response; sides have an `id` each, and a `pair` in common.

    Raises:
        UserError: a response without a `pair`, or whose other side has no response in the batch.
    """
    sides: dict[str, dict[str, list[int]]] = {}
    pairs, ids = (columns.get(name) or [None] * len(own) for name in (PAIR, "id"))
    for place, (pair, side) in enumerate(zip(pairs, ids, strict=True)):
        if pair is None or side is None:
            raise UserError(
                f"the pair reward needs rows with a column `{PAIR}`, equal for both sides; train on a drawn "
                "world's pairs (task: shapes:pairs), or on rows that have one"
            )
        sides.setdefault(str(pair), {}).setdefault(str(side), []).append(place)
    partner = [0] * len(own)
    for pair, members in sides.items():
        counts = sorted(len(places) for places in members.values())
        if len(counts) != 2 or counts[0] != counts[1]:
            raise UserError(
                f"the pair reward needs both sides of a pair in one batch, with as many responses each; of "
                f"{pair} it has {', '.join(f'{len(p)} to {side}' for side, p in members.items())}. Read them "
                "in their order (shuffle_dataset: false), an even number of prompts a process, and "
                "max_rounds: 1"
            )
        one, other = members.values()
        for a, b in zip(one, other, strict=True):
            partner[a], partner[b] = b, a
    return [
        None if value is None or (theirs := own[place]) is None else value * theirs
        for value, place in zip(own, partner, strict=True)
    ]
