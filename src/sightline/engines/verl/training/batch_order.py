"""Which rows of a rollout batch go to which rank: a prompt's rollouts stay together."""

from __future__ import annotations

from collections.abc import Sequence


def in_groups(uids: Sequence[str], lengths: Sequence[int], ranks: int) -> list[int]:
    """Row numbers in the order in which verl deals them out, an equal share to each rank.

    Where whole groups of one size divide over the ranks, each goes to one rank, the longest first to the
    rank with the fewest tokens so far that has room; within a rank groups keep the order of `uids`. Else
    rows stand in the order of `uids`, and a group at a seam lies on two ranks.
    """
    groups: dict[str, list[int]] = {}
    for row, uid in enumerate(uids):
        groups.setdefault(uid, []).append(row)
    ordered = [groups[uid] for uid in sorted(groups)]
    even = len({len(rows) for rows in ordered}) == 1 and len(ordered) % ranks == 0
    if not even:
        return [row for rows in ordered for row in rows]
    room = len(ordered) // ranks
    dealt: list[list[int]] = [[] for _ in range(ranks)]
    tokens = [0] * ranks
    weights = [sum(lengths[row] for row in rows) for rows in ordered]
    for number in sorted(range(len(ordered)), key=lambda group: (-weights[group], group)):
        free = [rank for rank in range(ranks) if len(dealt[rank]) < room]
        rank = min(free, key=lambda one: (tokens[one], one))
        dealt[rank].append(number)
        tokens[rank] += weights[number]
    return [row for numbers in dealt for number in sorted(numbers) for row in ordered[number]]
