"""What we rely on inside TRL is written down, holds, and is missed by name when it is gone."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest
from transformers import Trainer
from trl.trainer import grpo_trainer
from trl.trainer.grpo_trainer import GRPOTrainer

from sightline.engines import upstream_members
from sightline.engines.trl.trainer.trainer import TokenCreditTrainer
from sightline.engines.trl.upstream_contract import CONTRACT, check_contract
from sightline.engines.upstream_members import Member, problem_of
from sightline.errors import UserError


@pytest.fixture(autouse=True)
def forget() -> Any:
    upstream_members.broken_members.cache_clear()
    yield
    upstream_members.broken_members.cache_clear()


@pytest.mark.parametrize("member", CONTRACT, ids=lambda member: member.path.partition(":")[2])
def test_it_holds(member: Member) -> None:
    assert problem_of(member) is None
    assert member.why


def test_every_method_we_override_is_in_it() -> None:
    ours = [kind for kind in TokenCreditTrainer.__mro__ if kind.__module__.startswith("sightline.")]
    overridden = {
        name
        for kind in ours
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and hasattr(GRPOTrainer, name)
    }
    named = {member.path.rpartition(".")[2] for member in CONTRACT}
    assert overridden - named == set()
    assert {"_generate", "_compute_loss", "_save_checkpoint", "__init__"} <= overridden


def test_a_member_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(GRPOTrainer, "_calculate_rewards")
    with pytest.raises(UserError, match=r"GRPOTrainer\._calculate_rewards is gone.*trl 1\.16\.0"):
        check_contract()


def test_a_member_that_takes_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def _generate(self: Any, requests: list[Any]) -> None: ...

    monkeypatch.setattr(GRPOTrainer, "_generate", _generate)
    with pytest.raises(UserError, match=r"GRPOTrainer\._generate takes requests \(the order of what"):
        check_contract()


def test_a_member_that_does_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def training_step(self: Any, model: Any, inputs: Any, num_items_in_batch: Any) -> None:
        self._micro_steps += 1

    monkeypatch.setattr(GRPOTrainer, "training_step", training_step)
    with pytest.raises(UserError, match=r"training_step no longer says `self\._step \+= 1`"):
        check_contract()


def test_all_that_changed_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(grpo_trainer.GRPOTrainer, "_generate")
    monkeypatch.delattr(Trainer, "_get_output_dir")
    with pytest.raises(UserError, match=r"_generate is gone.*; Trainer\._get_output_dir is gone"):
        check_contract()


def test_white_space_and_hanging_commas_do_not_matter() -> None:
    (member,) = [one for one in CONTRACT if one.path.endswith("GRPOTrainer._get_train_sampler")]
    assert problem_of(replace(member, markers=("return   RepeatSampler(\n",))) is None
    assert problem_of(replace(member, markers=("return RandomSampler(",))) is not None
    assert problem_of(replace(member, parameters=("dataset", "seed"))) is not None


def test_a_trainer_checks_it_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(GRPOTrainer, "_tokenize_prompts")
    nothing: Any = None
    with pytest.raises(UserError, match="_tokenize_prompts is gone"):
        TokenCreditTrainer(method=nothing, model=nothing, args=nothing, train_dataset=nothing)
