"""Each method's training on stored rollouts, against the recorded one: no change of numbers by accident."""

from __future__ import annotations

import json

import pytest
import torch
from golden.make_trainings import FILE, METHODS, PLAIN, machine, training

RECORDED = json.loads(FILE.read_text())


EARLY = 10
NUMBERS = ("losses", "gradient_norms", "weights", "first_weights")


@pytest.mark.parametrize("label", METHODS)
def test_training_is_the_recorded_one(label: str) -> None:
    """To 6 digits on the machine that recorded it, within 1e-3 elsewhere."""
    wanted = RECORDED["trainings"][label]
    found = training(*METHODS[label], RECORDED["responses"], *PLAIN)
    near = 1e-6 if machine() == RECORDED["machine"] else 1e-3
    for name in NUMBERS:
        assert len(found[name]) == len(wanted[name])
        if wanted[name]:
            torch.testing.assert_close(
                torch.tensor(found[name]), torch.tensor(wanted[name]), rtol=near, atol=near
            )
    shared = training(*METHODS[label], RECORDED["responses"], "--shuffle_by", "rollout")
    for name in NUMBERS:
        one, other = torch.tensor(shared[name]), torch.tensor(found[name])
        assert one.shape == other.shape
        # Adam and clips carry roundings of float32 on from step to step.
        for steps, near in ((EARLY, 1e-5), (None, 1e-4)):
            gap = (one[:steps] - other[:steps]).norm()
            assert gap <= near * other[:steps].norm(), f"{name} differ where prompts are shared"


def test_the_recorded_trainings_move() -> None:
    """A golden file of constants would hold anything: gradients differ by step, and between methods."""
    norms = {label: RECORDED["trainings"][label]["gradient_norms"] for label in METHODS}
    assert all(len(set(found)) == 20 and min(found) > 1e-3 for found in norms.values()), norms
    assert len({tuple(found) for found in norms.values()}) == len(norms)
