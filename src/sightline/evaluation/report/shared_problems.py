"""Problems that several benchmarks hold: one cluster, wherever they are asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from ..benchmarks.families import Groups
from ..benchmarks.item import Item


def shared_clusters(problems: Mapping[str, Sequence[Item]], sets: Mapping[str, Any]) -> dict[str, list[int]]:
    """For every benchmark a cluster per problem, in its order, with names that hold across benchmarks.

    Problems are of one cluster if a benchmark says so of its own; if two benchmarks of one source (`sets`
    holds what `config.yaml` says of each) have them in one cluster or in one row; or if they share an image.
    """
    members = [(name, item) for name, items in problems.items() for item in items]
    groups = Groups(len(members))
    named: dict[Hashable, list[int]] = defaultdict(list)
    for place, (name, item) in enumerate(members):
        for key in _keys(name, item, sets.get(name) or {}):
            named[key].append(place)
    for places in named.values():
        groups.join(places)
    leaders = iter([groups.leader(place) for place in range(len(members))])
    return {name: [next(leaders) for _ in items] for name, items in problems.items()}


def _keys(name: str, item: Item, about: Mapping[str, Any]) -> Iterator[Hashable]:
    source = str(about.get("source") or name)
    yield "own", name, item.cluster
    yield "cluster", source, item.cluster
    row, splits = item.id.removeprefix(f"{name}/"), about.get("splits")
    if isinstance(splits, list) and len(splits) == 1:
        row = f"{splits[0]}/{row}"  # as where there are several
    yield "row", source, str(about.get("config")), row
    for image in item.fingerprints:
        yield "image", image
