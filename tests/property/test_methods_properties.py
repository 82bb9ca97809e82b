"""Every cell of the table property × method in docs/methods/README.md.

A "yes" is a property test on random batches; a "no" has to be shown by a counterexample, so that the
table says no more and no less than what is true.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sightline.methods import method
from sightline.signals import SIGNALS

README = Path(__file__).parents[2] / "docs" / "methods" / "README.md"

METHODS = {
    "grpo": method("grpo"),
    "dapo": method("dapo"),
    "gspo": method("gspo"),
    "dr_grpo": method("dr_grpo"),
    "papo": method("papo"),
    "vppo": method("vppo"),
    "vppo released": method("vppo", variant="released"),
    "vppo blocks": method("vppo", variant="released", minibatch=4, microbatch=2),
    "vppo union": method("vppo", filter_by="union"),
    "pgpo": method("pgpo"),
    "pgpo snapshot": method("pgpo", variant="snapshot"),
    "pgpo focus": method("pgpo", signal="visual_focus"),
    "vgpo": method("vgpo"),
    "vgpo released": method("vgpo", variant="released"),
    "vgpo tokens": method("vgpo", compensate=False, inter=False),
    "pepo": method("pepo"),
    "vepo": method("vepo"),
    "vepo released": method("vepo", variant="released"),
    "tor": method("tor"),
    "dupl": method("dupl"),
    "dupl released": method("dupl", variant="released"),
    "noisyrollout": method("noisyrollout"),
    "dvrp": method("dvrp"),
    "cfpo": method("cfpo"),
}


@dataclass(frozen=True)
class Example:
    """A batch in [0, 1], to be stretched to each signal's range."""

    unit: torch.Tensor
    other: torch.Tensor
    third: torch.Tensor
    mask: torch.Tensor
    group_ids: torch.Tensor
    has_image: torch.Tensor
    advantages: torch.Tensor
    noisy: torch.Tensor

    def rows(self, index):
        return Example(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def scores_of(rule, batch):
    """The batch's numbers as each signal of the method, NaN where they must not matter."""
    dead = ~(batch.mask.bool() & batch.has_image[:, None])
    scores = {}
    for name, unit in zip(rule.signals, (batch.unit, batch.other, batch.third), strict=False):
        low, high = SIGNALS[name].low, min(SIGNALS[name].high, 10.0)
        scores[name] = (low + (high - low) * unit).masked_fill(dead, float("nan"))
    return scores


def facts_of(rule, batch):
    """What the method reads beside scores."""
    every = {"advantages": batch.advantages, "noisy": batch.noisy, "progress": 0.7}
    return {name: every[name] for name in rule.reads}


def weigh(rule, batch):
    scores, facts = scores_of(rule, batch), facts_of(rule, batch)
    return rule.weights(scores, batch.mask, batch.group_ids, batch.has_image, **facts)


def near(actual, expected):
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=2e-5)


def seen(batch):
    return batch.mask.bool() & batch.has_image[:, None]


@st.composite
def batches(draw):
    """A batch with ties, zeros, empty rows, rows without images and groups of one."""
    rows, width = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    numbers = st.sampled_from([0.0, 0.1, 0.5, 1.0]) | st.floats(0, 1, width=32)
    unit = draw(arrays(np.float32, (3, rows, width), elements=numbers))
    lengths = draw(arrays(np.int64, rows, elements=st.integers(0, width)))
    group_ids = draw(arrays(np.int64, rows, elements=st.integers(-2, 2)))
    images = draw(arrays(np.bool_, rows, elements=st.sampled_from([True, True, False])))
    mask = torch.tensor(np.arange(width) < lengths[:, None]).long()
    advantages = draw(
        arrays(np.float32, rows, elements=st.sampled_from([0.0, 1.0]) | st.floats(-3, 3, width=32))
    )
    noisy = draw(arrays(np.bool_, rows))
    facts = [torch.tensor(each) for each in (group_ids, images, advantages, noisy)]
    return Example(*torch.tensor(unit), mask, *facts)


def random_batch(seed):
    """The same with plain random numbers, for the search of counterexamples."""
    random = np.random.default_rng(seed)
    rows, width = int(random.integers(1, 9)), int(random.integers(1, 13))
    unit = random.random((2, rows, width)) ** float(random.choice([1, 6]))
    unit = np.where(random.random(unit.shape) < 0.3, unit.round(1), unit)
    if random.random() < 0.2:
        unit = np.repeat(unit[:, :, :1], width, axis=2)
    if random.random() < 0.2:
        unit = 0.5 + unit / 2  # cosines of one sign, as real models have them
    lengths = random.integers(0 if random.random() < 0.3 else 1, width + 1, rows)
    return Example(
        torch.tensor(unit[0]).float(),
        torch.tensor(unit[1]).float(),
        torch.tensor(np.random.default_rng(seed + 1000).random((rows, width)).round(1)).float(),
        torch.tensor(np.arange(width) < lengths[:, None]).long(),
        torch.tensor(random.integers(-3, int(random.choice([0, 2])), rows) * 7),
        torch.tensor(random.random(rows) < float(random.choice([1.0, 0.7]))),
        torch.tensor(random.normal(size=rows).round(int(random.choice([0, 3])))).float(),
        torch.tensor(random.random(rows) < 0.5),
    )


def padding(rule, batch):
    wide = torch.nn.functional.pad
    grown = replace(
        batch,
        unit=wide(batch.unit, (2, 3), value=0.9),
        other=wide(batch.other, (2, 3), value=0.1),
        third=wide(batch.third, (2, 3), value=0.5),
        mask=wide(batch.mask, (2, 3)),
    )
    near(weigh(rule, grown)[:, 2:-3], weigh(rule, batch))


def reordering(rule, batch):
    order = torch.arange(len(batch.mask)).flip(0).roll(1)
    near(weigh(rule, batch.rows(order)), weigh(rule, batch)[order])


def finite(rule, batch):
    weights = weigh(rule, batch)
    assert weights.dtype == torch.float32
    assert weights.isfinite().all()
    assert (weights >= 0).all()
    assert (weights[~batch.mask.bool()] == 0).all()


def imageless(rule, batch):
    weights = weigh(rule, batch)
    blind = ~batch.has_image
    assert torch.equal(weights[blind], batch.mask[blind].float())
    scores = scores_of(rule, batch)
    for values in scores.values():
        values[blind] = -1e9
    facts = facts_of(rule, batch)
    near(rule.weights(scores, batch.mask, batch.group_ids, batch.has_image, **facts), weights)


def unchanged(rule, batch):
    scores, facts = scores_of(rule, batch), facts_of(rule, batch)
    given = [*scores.values(), batch.mask, batch.group_ids, batch.has_image, batch.advantages, batch.noisy]
    before = [tensor.clone() for tensor in given]
    rule.weights(scores, batch.mask, batch.group_ids, batch.has_image, **facts)
    for tensor, copy in zip(given, before, strict=True):
        torch.testing.assert_close(tensor, copy, atol=0, rtol=0, equal_nan=True)


def renaming(rule, batch):
    renamed = replace(batch, group_ids=-5 * batch.group_ids + 1_000_000_007)
    near(weigh(rule, renamed), weigh(rule, batch))


def splitting(rule, batch):
    weights = weigh(rule, batch)
    for group in batch.group_ids.unique():
        index = (batch.group_ids == group).nonzero().flatten()
        near(weigh(rule, batch.rows(index)), weights[index])


def constant(rule, batch):
    scores = {name: getattr(batch, name) for name in ("unit", "other", "third")}
    flat = replace(batch, **{name: each[:, :1].expand_as(each) for name, each in scores.items()})
    near(weigh(rule, flat), batch.mask.float())


def conserving(rule, batch):
    near(weigh(rule, batch).sum(-1), batch.mask.sum(-1).float())


def group_mean(rule, batch):
    index = seen(batch).any(-1)
    means = weigh(rule, batch).sum(-1)[index] / batch.mask.sum(-1)[index]
    for group in batch.group_ids[index].unique():
        near(means[batch.group_ids[index] == group].mean(), torch.tensor(1.0))


def counted(rule, batch):
    kept = (weigh(rule, batch) > 0).sum(-1)
    wanted = [math.ceil(round(0.4 * length, 9)) for length in batch.mask.sum(-1).tolist()]
    assert kept[batch.has_image].tolist() == torch.tensor(wanted)[batch.has_image].tolist()


PROPERTIES = {
    "padding is inert": padding,
    "reordering rows reorders weights": reordering,
    "finite and ≥ 0, 0 on padding": finite,
    "rows without an image are 1 and inert": imageless,
    "inputs are not changed": unchanged,
    "group names do not matter": renaming,
    "splitting by groups changes nothing": splitting,
    "constant scores give 1": constant,
    "weights sum to the length": conserving,
    "rollouts of a prompt keep mean weight 1": group_mean,
    "ceil(k·T) tokens are kept": counted,
}


def section(title):
    lines = README.read_text().split(f"## {title}")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    for row in rows[2:]:
        for name, cell in zip(rows[0][1:], row[1:], strict=True):
            yield row[0], name, cell


def table():
    yield from section("What holds for which")
    for name, row, cell in section("What holds for the newer ones"):
        yield row, name, cell


TABLE = list(table())


def test_the_table_is_complete():
    assert len(TABLE) == len(PROPERTIES) * len(METHODS)
    assert {(row, name) for row, name, _ in TABLE} == {(row, name) for row in PROPERTIES for name in METHODS}
    assert {cell for _, _, cell in TABLE} == {"yes", "no"}


@pytest.mark.parametrize(("row", "name"), [(row, name) for row, name, cell in TABLE if cell == "yes"])
def test_what_the_table_claims_holds(row, name):
    @settings(max_examples=20, derandomize=True, deadline=None, database=None)
    @given(batches())
    def holds(batch):
        PROPERTIES[row](METHODS[name], batch)

    holds()


@pytest.mark.parametrize(("row", "name"), [(row, name) for row, name, cell in TABLE if cell == "no"])
def test_what_the_table_denies_has_a_counterexample(row, name):
    for seed in range(200):
        try:
            PROPERTIES[row](METHODS[name], random_batch(seed))
        except AssertionError:
            return
    pytest.fail(f"{row} held for {name} on 200 batches: is the table's no still true?")
