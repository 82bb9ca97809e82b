"""Several sets as one: drawn in proportion to their weights, in every stretch of the sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np

from ..errors import UserError
from .loading.streaming import StreamedProblems
from .problem import NothingHeldOut, Problem, Task
from .prompt_length_filter import outline
from .rows.row_errors import BadRow


class MixedProblems(Sequence[Problem]):
    """Problem i is problem `place[i]` of part `part[i]`, its id prefixed with the part's name."""

    def __init__(
        self, names: Sequence[str], parts: Sequence[Sequence[Problem]], part: np.ndarray, place: np.ndarray
    ):
        self.names, self.parts, self.part, self.place = names, parts, part, place

    def __len__(self) -> int:
        return len(self.part)

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> list[Problem]: ...
    def __getitem__(self, index: int | slice) -> Problem | list[Problem]:
        """Read one problem, or a list of them."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        number = range(len(self))[index]
        which, where = int(self.part[number]), int(self.place[number])
        again, where = divmod(where, len(self.parts[which]))
        problem = self.parts[which][where]
        return replace(problem, id=self._name(which, again, problem))

    @property
    def sequential(self) -> bool:
        """Whether a part is a stream, to be read in order."""
        return any(getattr(part, "sequential", False) for part in self.parts)

    @property
    def skipped(self) -> tuple[BadRow, ...]:
        """Rows that the parts left out when their problems were chosen."""
        return tuple(bad for part in self.parts for bad in getattr(part, "skipped", ()))

    def outline(self, index: int) -> tuple[Problem, list[tuple[int, int]]]:
        """A problem and its images' sizes, undecoded where the part can tell."""
        which = int(self.part[index])
        again, where = divmod(int(self.place[index]), len(self.parts[which]))
        problem, sizes = outline(self.parts[which], where)
        return replace(problem, id=self._name(which, again, problem)), sizes

    def _name(self, which: int, again: int, problem: Problem) -> str:
        return f"{self.names[which]}:{problem.id}" + (f"#{again + 1}" if again else "")


class Mixture:
    """A task of several tasks. Without weights every row counts once; weights are shares of the problems."""

    def __init__(self, tasks: Sequence[Task], weights: Sequence[float | None]):
        if not tasks:
            raise UserError("a mixture needs at least one source, got an empty list")
        given = [weight for weight in weights if weight is not None]
        if given and len(given) != len(tasks):
            raise UserError(
                f"a mixture has {len(given)} weights for {len(tasks)} sources; give all of them or none"
            )
        self.tasks = list(tasks)
        self.weights = np.asarray(given, dtype=float) if given else None
        titles = [task.name.replace(":", "_") for task in tasks]
        self.names = [f"{title}-{titles[: i + 1].count(title)}" if titles.count(title) > 1 else title
                      for i, title in enumerate(titles)]  # fmt: skip
        self.name = "+".join(self.names)

    def train(self, count: int | None = None, seed: int = 0) -> Sequence[Problem]:
        """`count` problems in the wanted shares; with None, as many as there are without a row used twice."""
        if self.weights is None or count is None:
            wanted: list[int | None] = [None] * len(self.tasks)
        else:
            wanted = [int(np.ceil(share * count)) + 1 for share in self.weights / self.weights.sum()]
        parts = [task.train(few, seed) for task, few in zip(self.tasks, wanted, strict=True)]
        for part in parts:
            if isinstance(part, StreamedProblems):
                part.repeats = True  # its length may be a guess; a table's rows are used again, too
        return self._mixed(parts, self.weights, self.names, count, seed)

    def test(self, count: int | None = None, seed: int = 0) -> Sequence[Problem]:
        """Held-out problems of all parts that hold some out, every row once, or `count` of them.

        Raises:
            UserError: no part holds anything out.
        """
        parts: list[tuple[str, Sequence[Problem]]] = []
        refused: list[str] = []
        for name, task in zip(self.names, self.tasks, strict=True):
            try:
                parts.append((name, task.test(count, seed)))
            except NothingHeldOut as error:
                refused.append(str(error))
        if not parts:
            raise NothingHeldOut(refused[0])
        names, found = zip(*parts, strict=True)
        total = sum(map(len, found))
        return self._mixed(
            found, None, names, None if count is None else min(count, total), seed, ordered=True
        )

    def messages(self, problem: Problem) -> list[dict[str, Any]]:
        """The messages as the problem's own task puts it."""
        name, _, rest = problem.id.partition(":")
        if name not in self.names:
            raise ValueError(f"problem {problem.id!r} belongs to none of {', '.join(self.names)}")
        return self.tasks[self.names.index(name)].messages(replace(problem, id=rest))

    @staticmethod
    def _mixed(
        parts: Sequence[Sequence[Problem]],
        weights: np.ndarray | None,
        names: Sequence[str],
        count: int | None,
        seed: int,
        ordered: bool = False,
    ) -> MixedProblems:
        sizes = np.asarray([len(part) for part in parts], dtype=float)
        if (empty := [name for name, size in zip(names, sizes, strict=True) if size == 0]) and count != 0:
            raise UserError(f"{', '.join(empty)} of a mixture has no rows")
        shares = sizes / sizes.sum() if weights is None else weights / weights.sum()
        length = int(round(sizes.sum()) if weights is None else np.floor((sizes / shares).min() + 1e-9))
        part = arrangement(shares, length if count is None else count)
        place = np.zeros_like(part)
        for which, size in enumerate(sizes.astype(int)):
            mine = part == which
            drawn = int(mine.sum())
            rounds = -(-drawn // size) if drawn else 0
            random = np.random.default_rng([seed, which])
            in_order = ordered or isinstance(parts[which], StreamedProblems)
            orders = [np.arange(size) if in_order else random.permutation(size) for _ in range(rounds)]
            shifted = [order + turn * size for turn, order in enumerate(orders)]
            place[mine] = np.concatenate(shifted)[:drawn] if shifted else []
        return MixedProblems(names, parts, part, place)


def arrangement(shares: np.ndarray, length: int) -> np.ndarray:
    """Which part every place of a sequence belongs to: [length] integers.

    The j-th problem of a part with share s is due at (j + 1/2) / s; problems stand in the order they
    are due, ties by part. So every stretch holds each part in its share, to within a problem or so.
    """
    counts = np.ceil(shares * length).astype(np.int64) + 1
    due = np.concatenate([(np.arange(n) + 0.5) / share for n, share in zip(counts, shares, strict=True)])
    part = np.repeat(np.arange(len(shares)), counts)
    return part[np.argsort(due, kind="stable")][:length]
