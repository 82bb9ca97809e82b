"""Held-out problems measured while a run trains, on all of its ranks, without a trace in what is trained."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch

from ..errors import unknown_name
from ..models.loading import LoadedModel
from .metric_names import HELD_OUT as PREFIX
from .ranks import Ranks


class Validation(Protocol):
    """The held-out problems of a run, as whoever drives an engine gives them to it."""

    @property
    def names(self) -> Sequence[str]:
        """The metrics by which a checkpoint can be the best: `accuracy`, `reward`, `rewards/NAME/mean`."""
        ...

    def __len__(self) -> int:
        """How many problems there are."""
        ...

    def scores(self, loaded: LoadedModel, places: Sequence[int], step: int, steps: int) -> list[Any]:
        """What the model's greedy answers to the problems at `places` earn, as plain data, one item each."""
        ...

    def metrics(self, scores: Sequence[Any]) -> dict[str, float]:
        """Means and the ends of their intervals, from the scores of all problems in their order."""
        ...


def validated(
    validation: Validation, loaded: LoadedModel, ranks: Ranks, *, together: bool, step: int, steps: int
) -> dict[str, float]:
    """The metrics of the held-out problems, equal on all ranks, each of which answers its share.

    `together` has every rank answer all of them, since none holds the weights alone. Every generator is left
    as it was found, so that a run which is validated trains on the same numbers.
    """
    everything = range(len(validation))
    own = everything if together else everything[ranks.index :: ranks.count]
    with same_random_numbers_after():
        scores = list(zip(own, validation.scores(loaded, own, step, steps), strict=True))
    if not together:
        scores = sorted(ranks.gather_items(scores), key=lambda pair: pair[0])
    found = validation.metrics([score for _, score in scores])
    return ranks.from_main({f"{PREFIX}{name}": value for name, value in found.items()})


@contextmanager
def same_random_numbers_after() -> Iterator[None]:
    """Give every generator of this process back its state."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def check_metric(name: str | None, validation: Validation) -> None:
    """Refuse a `metric_for_best_model` that is not measured.

    Raises:
        UserError: with what is.
    """
    if name is not None and name.removeprefix(PREFIX) not in validation.names:
        raise unknown_name("metric_for_best_model", name, validation.names)
