"""Credit does not depend on how many ranks share a batch; fill keeps what dynamic sampling promises."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sightline.engines import ENGINES, Engine, engine
from sightline.engines.checkpoints import StoppedError
from sightline.engines.credit import loss_terms, rewards_to_advantages, token_advantages
from sightline.engines.dynamic_sampling import Group, PromptStream, fill
from sightline.engines.ranks import Ranks, mean_over_tokens
from sightline.errors import UserError
from sightline.methods import method
from sightline.objectives import group_advantages
from sightline.rollouts import Rollouts

B, G, T = 8, 4, 6


class Threads(Ranks):
    """One of two ranks, each a thread."""

    count = 2

    def __init__(self, index: int, given: list[Any], barrier: threading.Barrier):
        self.index, self.given, self.barrier = index, given, barrier

    def gather_rows(self, rows: Tensor) -> Tensor:
        self.given[self.index] = rows
        self.barrier.wait(10)
        longest = max(one.shape[-1] for one in self.given)
        padded = [F.pad(one, (0, longest - one.shape[-1])) if one.dim() > 1 else one for one in self.given]
        self.barrier.wait(10)
        return torch.cat(padded)


def on_two_ranks(function: Callable[[Ranks], Any]) -> list[Any]:
    given, barrier = [None, None], threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, [Threads(index, given, barrier) for index in range(2)]))


def rollouts(mask: Tensor, groups: Tensor, shown: Sequence[bool]) -> Rollouts:
    nothing = torch.zeros_like(mask)
    images = [[object()] if one else [] for one in shown]
    return Rollouts(nothing, nothing, nothing, mask, groups, images)


@pytest.mark.parametrize("name", ["vgpo", "vppo", "pgpo"])
def test_two_ranks_give_the_weights_of_one(name: str) -> None:
    chosen, generator = method(name), torch.Generator().manual_seed(0)
    lengths = torch.tensor([4, 3, 4, 2, 6, 5, 0, 6])  # the first rank's rows are shorter
    mask = (torch.arange(T) < lengths[:, None]).long()
    groups, shown = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0]), [True] * 7 + [False]
    scores = {one: torch.rand(B, T, generator=generator) for one in chosen.needs.signals}
    advantages = torch.randn(B, generator=generator)
    whole, metrics = token_advantages(chosen, advantages, rollouts(mask, groups, shown), scores)
    assert whole.shape == (B, T) and metrics["rollouts/without_image"] == 1
    lengths_of = (4, 6)

    def part(ranks: Ranks) -> tuple[Tensor, dict[str, float]]:
        own, length = slice(ranks.index * G, (ranks.index + 1) * G), lengths_of[ranks.index]
        mine = rollouts(mask[own, :length], groups[own], shown[own])
        signals = {one: values[own, :length] for one, values in scores.items()}
        return token_advantages(chosen, advantages[own], mine, signals, ranks)

    (first, its), (second, others) = on_two_ranks(part)
    assert torch.equal(first, whole[:G, :4]) and torch.equal(second, whole[G:])
    assert its == others == metrics


def test_rewards_without_an_opinion_leave_the_group() -> None:
    nan = float("nan")
    rewards = torch.tensor([[1.0, 0.0], [0.0, nan], [nan, nan], [nan, 2.0], [1.0, 1.0], [1.0, 1.0]])
    weights = torch.tensor([1.0, 0.5])
    found = rewards_to_advantages(rewards, weights, group_size=3)
    assert found[2] == 0 and (found[4:] == 0).sum() == 0
    assert torch.equal(found[:2], group_advantages(torch.tensor([1.0, 0.0]), torch.tensor([0, 0])))
    # of the second group: 1.0, 1.5, 1.5
    assert torch.equal(found[3:], group_advantages(torch.tensor([1.0, 1.5, 1.5]), torch.tensor([1, 1, 1])))


def test_the_objective_s_entropy_penalty_is_a_term() -> None:
    assert [term.name for term in loss_terms(method("grpo"))] == []
    chosen = method("papo", objective={"name": "dapo", "entropy_penalty": 0.1})
    *own, last = loss_terms(chosen)
    assert own == list(chosen.terms) and (last.name, last.coefficient) == ("entropy_penalty", 0.1)


def test_a_mean_over_no_token_is_none() -> None:
    assert mean_over_tokens(torch.ones(2, 3), torch.zeros(2, 3), Ranks()) is None
    assert mean_over_tokens(torch.tensor([[2.0, 9.0]]), torch.tensor([[1, 0]]), Ranks()) == 2.0


def sampler(informative: set[int], drawn: list[list[int]]) -> Any:
    def sample(numbers: Sequence[int]) -> list[Group]:
        drawn.append(list(numbers))
        return [Group(number, [], torch.zeros(G, 1), number in informative) for number in numbers]

    return sample


def test_later_rounds_draw_by_the_informative_share_in_multiples() -> None:
    drawn: list[list[int]] = []
    stream = PromptStream(40, seed=0, shuffle=False)
    filled = fill(6, stream, sampler({0, 1, 2, 7, 8, 9}, drawn), max_rounds=9, multiple=2)
    assert drawn == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]  # half were informative: 6 more for 3
    assert [group.number for group in filled.batch] == [0, 1, 2, 7, 8, 9]
    assert filled.metrics["groups/informative_share"] == 0.5 and filled.rounds == 2
    assert stream.position == 12


def test_a_batch_that_could_not_be_filled(tmp_path: Path) -> None:
    drawn: list[list[int]] = []
    filled = fill(4, PromptStream(6, 0, False), sampler({5}, drawn), max_rounds=9)
    assert sorted(number for one in drawn for number in one) == list(range(6))
    assert [group.number for group in filled.batch] == [5, 0, 1, 2]
    assert filled.metrics["groups/uninformative_kept"] == 3
    with pytest.raises(
        StoppedError, match=r"2 rounds gave 1 informative groups of the 4 .* raise max_rounds"
    ):
        filled.require_full(tmp_path)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_offers_what_the_contract_asks_for(name: str) -> None:
    pytest.importorskip(ENGINES[name].library)
    found = engine(name)
    offered = [key for key, value in vars(Engine).items() if inspect.isfunction(value) and key[0] != "_"]
    assert offered == ["parser", "parse", "ranks", "load_policy", "check_fit", "train"]
    for key in offered:
        wanted = inspect.signature(getattr(Engine, key)).parameters
        given = inspect.signature(getattr(found, key)).parameters
        missing = wanted.keys() - given.keys() - {"self"}
        extra = [one.name for one in given.values() if one.name not in wanted and one.default is one.empty]
        assert not missing and not extra, (key, missing, extra)


def test_an_engine_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"unknown engine 'tlr': did you mean trl"):
        engine("tlr")
    monkeypatch.setattr("sightline.engines.registry.find_spec", lambda name: None)
    needed = r"the trl engine needs trl, .* pip install 'sightline-rl\[trl\]' .*verl"
    with pytest.raises(UserError, match=needed):
        engine("trl")
