"""Computations inside the one wrapped forward leave torch as they found it."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from sightline.engines.wrapped_forward import accept_inside


class Doubling(torch.nn.Linear):
    """A layer whose forward counts."""

    calls = 0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(values)


@pytest.fixture
def prepared():
    model = Doubling(2, 2)
    accept_inside(model)
    yield Accelerator(mixed_precision="bf16", cpu=True).prepare_model(model)
    AcceleratorState._reset_state(True)


def test_a_model_called_inside_itself_leaves_autocast_as_it_was(prepared: Doubling) -> None:
    seen = prepared(inside=lambda model: (model(torch.ones(1, 2)).dtype, torch.is_autocast_enabled("cpu")))
    assert seen == (torch.bfloat16, True), "autocast holds inside"
    assert not torch.is_autocast_enabled("cpu")
    assert prepared.calls == 1
    assert prepared(torch.ones(1, 2)).dtype == torch.float32, "the wrappers are back: outputs become float32"


def test_the_forward_is_put_back_after_an_error(prepared: Doubling) -> None:
    wrapped = prepared.forward
    with pytest.raises(ZeroDivisionError):
        prepared(inside=lambda model: 1 / 0)
    assert prepared.forward == wrapped
    assert not torch.is_autocast_enabled("cpu")
