"""Every stretch of a mixture holds its parts in their shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import UserError
from sightline.tasks import ShapesTask
from sightline.tasks.mixture import Mixture, arrangement

weights = st.lists(st.floats(0.01, 1), min_size=1, max_size=5).map(lambda w: np.asarray(w) / np.sum(w))


@given(weights, st.integers(0, 400))
def test_every_beginning_is_in_proportion(shares, length):
    part = arrangement(shares, length)
    assert part.shape == (length,) and part.dtype.kind == "i"
    if length:
        assert part.min() >= 0 and part.max() < len(shares)
    counts = np.cumsum(part[:, None] == np.arange(len(shares)), axis=0)
    wanted = np.arange(1, length + 1)[:, None] * shares
    assert np.abs(counts - wanted).max(initial=0) <= max(1, len(shares) / 2)


@given(weights, st.integers(1, 200), st.integers(0, 200))
def test_a_longer_mixture_begins_like_a_shorter_one(shares, length, more):
    assert np.array_equal(arrangement(shares, length + more)[:length], arrangement(shares, length))


def test_equal_parts_alternate_and_a_part_that_runs_out_begins_again_with_new_names():
    first, second = ShapesTask(), ShapesTask()
    mixed = Mixture([first, second], [1, 1])
    ids = [problem.id for problem in mixed.train(6, 0)]
    assert [name.partition(":")[0] for name in ids] == ["shapes-1", "shapes-2"] * 3

    class Few(ShapesTask):
        name = "few"

        def train(self, count=None, seed=0):
            return super().train(2, seed)

    ids = [problem.id for problem in Mixture([Few(), first], [1, 1]).train(10, 0)]
    assert len(set(ids)) == 10 and sum(name.endswith("#2") for name in ids) == 2
    assert len(Mixture([Few(), first], [1, 1]).train(None, 0)) == 4
    assert len(Mixture([Few(), Few()], [None, None]).train(None, 0)) == 4


def test_messages_come_from_the_task_a_problem_belongs_to():
    mixed = Mixture([ShapesTask(), ShapesTask()], [None, None])
    problem = mixed.train(4, 0)[1]
    assert mixed.messages(problem)[0]["content"][0] == {"type": "image"}
    with pytest.raises(ValueError, match="belongs to none"):
        mixed.messages(ShapesTask().train(1, 0)[0])
    with pytest.raises(UserError, match="at least one source"):
        Mixture([], [])
