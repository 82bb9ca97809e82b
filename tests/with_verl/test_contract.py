"""What we rely on inside verl holds, and is missed by name when it is gone."""

import inspect
from typing import Any

import pytest
from verl.trainer.ppo.v1 import PPOTrainerSync
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from sightline.engines.upstream_members import Member, broken_members, problem_of
from sightline.engines.verl.training.fsdp_engine import SightlineEngine
from sightline.engines.verl.training.group_buffer import GroupBuffer
from sightline.engines.verl.training.trainer import SightlineTrainer
from sightline.engines.verl.upstream_contract import CONTRACT, check_contract
from sightline.errors import UserError


@pytest.mark.parametrize("member", CONTRACT, ids=lambda member: member.path.partition(":")[2])
def test_it_holds(member: Member) -> None:
    assert problem_of(member) is None
    assert member.why


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SightlineTrainer, PPOTrainerSync),
        (GroupBuffer, ReplayBuffer),
        (SightlineEngine, FSDPEngineWithLMHead),
    ],
)
def test_every_method_we_override_is_in_it(ours: type, theirs: type) -> None:
    overridden = {
        name for name, value in vars(ours).items() if inspect.isfunction(value) and hasattr(theirs, name)
    }
    assert overridden - {member.path.rpartition(".")[2] for member in CONTRACT} == set()
    assert overridden


def test_a_member_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken_members.cache_clear()
    monkeypatch.delattr(ReplayBuffer, "_dapo_filtered_keys")
    with pytest.raises(UserError, match=r"ReplayBuffer\._dapo_filtered_keys is gone.*verl 0\.9\.1"):
        check_contract()
    broken_members.cache_clear()


def test_importing_the_plug_in_imports_no_trl() -> None:
    import sys

    import sightline.engines.verl.plugin as plugin

    modules: dict[str, Any] = sys.modules
    assert plugin.PLUGGED and "trl" not in modules
