"""From what a trainer takes its reference model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sightline.engines.trl.preflight import check_fit, check_reference
from sightline.engines.trl.state.reference_model import CopyOf, reference_is_copy
from sightline.errors import UserError


def arguments(**changed: Any) -> Any:
    usual = {"beta": 0.1, "deepspeed_plugin": None, "model_init_kwargs": {"revision": "v2"}}
    return SimpleNamespace(**usual | changed)


def test_a_copy_drops_nothing_out_and_leaves_the_policy_as_it_was() -> None:
    policy = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5)).train()
    copy = CopyOf(policy).from_pretrained("whatever")
    assert not any(module.training for module in copy.modules())
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert all(module.training for module in policy.modules())
    assert all(parameter.requires_grad for parameter in policy.parameters())


@pytest.mark.parametrize("stage", [None, 2])
def test_it_is_a_copy_while_the_trainer_is_made_even_if_that_fails(stage: int | None) -> None:
    plugin = None if stage is None else SimpleNamespace(zero_stage=stage)
    args = arguments(deepspeed_plugin=plugin)
    with pytest.raises(RuntimeError, match="out of memory"), reference_is_copy(args, torch.nn.Linear(2, 2)):
        assert isinstance(args.model_init_kwargs["architecture"], CopyOf)
        assert args.model_init_kwargs["revision"] == "v2"
        raise RuntimeError("out of memory")
    assert args.model_init_kwargs == {"revision": "v2"}


def test_weights_split_as_they_are_loaded_are_loaded_again() -> None:
    args = arguments(deepspeed_plugin=SimpleNamespace(zero_stage=3))
    with reference_is_copy(args, torch.nn.Linear(2, 2)):
        assert args.model_init_kwargs == {"revision": "v2"}


@pytest.mark.parametrize(("follows", "stage"), [(True, 2), (True, None), (False, 3)])
def test_a_checkpoint_can_hold_it(follows: bool, stage: int | None) -> None:
    plugin = None if stage is None else SimpleNamespace(zero_stage=stage)
    check_reference(arguments(deepspeed_plugin=plugin, sync_ref_model=follows))


def test_one_that_no_checkpoint_could_hold_is_refused_before_the_run_starts() -> None:
    plugin = SimpleNamespace(zero_stage=3)
    settings: Any = SimpleNamespace(
        train=arguments(deepspeed_plugin=plugin, sync_ref_model=True, use_vllm=False)
    )
    loaded: Any = None
    task: Any = None
    with pytest.raises(UserError, match="sync_ref_model cannot be resumed under DeepSpeed ZeRO-3"):
        check_fit(settings, loaded, task, [])
