"""The order in which prompts are drawn when a rollout batch takes as many as it needs."""

from __future__ import annotations

from collections.abc import Set

import numpy as np


class PromptStream:
    """Numbers of prompts, pass after pass over the data, every pass in an order of its own.

    `position` says how many were drawn; set it, and the stream goes on from there.
    """

    def __init__(self, count: int, seed: int, shuffle: bool):
        self.count, self.seed, self.shuffle = count, seed, shuffle
        self.position = 0
        self._pass, self._order = -1, np.arange(count)

    def take(self, wanted: int, leave_out: Set[int] = frozenset()) -> list[int]:
        """The next `wanted` prompts, without those to leave out and without one twice.

        Fewer if there are no more to find in the data.
        """
        found: list[int] = []
        seen = set(leave_out)
        for _ in range(2 * self.count):
            if len(found) == wanted or len(seen) == self.count:
                break
            number = self._next()
            if number not in seen:
                seen.add(number)
                found.append(number)
        return found

    def _next(self) -> int:
        turn, place = divmod(self.position, self.count)
        if turn != self._pass:
            in_order = np.arange(self.count)
            self._order = (
                np.random.default_rng([self.seed, turn]).permutation(self.count) if self.shuffle else in_order
            )
            self._pass = turn
        self.position += 1
        return int(self._order[place])
