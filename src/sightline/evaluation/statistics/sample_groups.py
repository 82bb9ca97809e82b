"""Samples of problems that belong together: their rounds, and the share of groups with every member right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..run.grading import Scored
from .intervals import Estimate, clustered_share


def average(samples: Sequence[Scored]) -> Estimate:
    """The mean over problems of their share of right samples."""
    graded = [one for one in samples if one.correct is not None]
    counts = Counter(one.item.id for one in graded)
    return clustered_share(
        [float(bool(one.correct)) for one in graded],
        [one.item.cluster for one in graded],
        [1 / counts[one.item.id] for one in graded],
    )


def all_right(samples: Sequence[Scored], key: str, members: int | None = None) -> Estimate:
    """The share of groups, by one of the problems' keys, of which every member is right.

    With `members`, groups that have fewer of them, as a limit leaves, say nothing.
    """
    grouped = [one for one in samples if one.item.keys.get(key)]
    values, clusters, weights = [], [], []
    for found in rounds_of(grouped, lambda one: one.item.keys[key]).values():
        for answers in found.rounds:
            if members is not None and len(answers) != members:
                continue
            values.append(float(all(one.correct for one in answers)))
            clusters.append(answers[0].item.cluster)
            weights.append(1 / len(found.rounds))
    return clustered_share(values, clusters, weights)


@dataclass(frozen=True)
class Rounds:
    """The samples of a group of problems, one of every problem to a round."""

    rounds: Sequence[Sequence[Scored]]
    lost: int
    """Rounds that would be there, had no sample failed."""


def rounds_of(samples: Sequence[Scored], group: Callable[[Scored], str]) -> Mapping[str, Rounds]:
    """Group -> its rounds: the first graded sample of each of its problems, the second, and so on.

    Samples of different problems have nothing to do with each other, so one that failed is replaced by the
    next: a round is lost only where a problem has no sample left.
    """
    groups: dict[str, dict[str, list[Scored]]] = defaultdict(lambda: defaultdict(list))
    for one in samples:
        groups[group(one)][one.item.id].append(one)
    found = {}
    for name, problems in groups.items():
        graded = [[one for one in asked if one.correct is not None] for asked in problems.values()]
        whole = min(map(len, graded))
        rounds = [[answers[number] for answers in graded] for number in range(whole)]
        found[name] = Rounds(rounds, max(map(len, problems.values())) - whole)
    return found
