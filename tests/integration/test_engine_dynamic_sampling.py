"""Groups that teach nothing make room for others: which prompts a rollout batch ends up with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from stored_rollouts import GROUP, settings

from sightline.engines.checkpoints import StoppedError
from sightline.engines.dynamic_sampling import PromptStream
from sightline.engines.trl.data.dataset import training_rows
from sightline.engines.trl.settings.rewards import rewards_of
from sightline.engines.trl.trainer.trainer import TokenCreditTrainer
from sightline.errors import UserError
from sightline.models.loading import LoadedModel, load_model
from sightline.models.scoring.cached_prompts import Prefilled
from sightline.models.scoring.score import Scores, score
from sightline.tasks import ShapesTask

PROBLEMS = 12


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return load_model("embedded", torch.float32)


class Scripted(TokenCreditTrainer):
    """Answers every prompt with a word; how right that is `right` says, by the prompt's number."""

    sampled: list[list[int]]

    def _generate_single_turn(self, prompt_ids: Any, *_: Any, **__: Any) -> Any:
        return [[7, 8, 9] for _ in prompt_ids], None


def scripted(
    loaded: LoadedModel, folder: Path, right: dict[int, list[float]], *flags: str, method: str = "dapo"
) -> Scripted:
    """Two prompts x four rollouts a batch; `right` holds a prompt's rewards, all wrong by default."""
    problems = ShapesTask().train(PROBLEMS, 3)
    numbers = {problem.id: index for index, problem in enumerate(problems)}

    def accuracy(completions: list[Any], id: list[str], log_metric: Any, **_: Any) -> list[float]:
        given = [right.get(numbers[name], [0.0] * GROUP)[place % GROUP] for place, name in enumerate(id)]
        log_metric("accuracy", sum(given) / len(given))
        return given

    run = settings(folder, method, {}, "--no_shuffle_dataset", *flags)
    trainer = Scripted(
        method=run.method,
        args=run.train,
        model=loaded.model,
        processing_class=loaded.processor,
        reward_funcs=[accuracy],
        train_dataset=training_rows(ShapesTask(), problems),
    )
    trainer.sampled = []
    if trainer.group_sampler is not None:
        sample = trainer.group_sampler.sample
        trainer.group_sampler.sample = lambda numbers: (
            trainer.sampled.append(list(numbers)) or sample(numbers)
        )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return trainer


def batch(trainer: Scripted, start: int = 0) -> dict[str, Any]:
    """The rollout batch that TRL would train on, given the loader's rows from `start` on."""
    data: Any = trainer.train_dataset
    rows = [data[start + row // GROUP] for row in range(2 * GROUP)]
    return trainer._generate_and_score_completions(rows)


def metric(trainer: Scripted, name: str) -> float:
    (value,) = trainer._metrics["train"][name]
    return value


MIXED = [1.0, 0.0, 0.0, 0.0]
RIGHT = [1.0] * GROUP


def test_uninformative_groups_are_replaced_by_new_prompts(loaded: LoadedModel, tmp_path: Path) -> None:
    trainer = scripted(loaded, tmp_path, {0: MIXED, 1: RIGHT, 5: MIXED}, "--max_rounds", "4")
    out = batch(trainer)
    assert [n for numbers in trainer.sampled for n in numbers] == [0, 1, 2, 3, 4, 5]
    assert [len(numbers) for numbers in trainer.sampled] == [2, 2, 2]
    assert trainer.rollout_batch.rewards[:, 0].tolist() == MIXED + MIXED
    assert out["advantages"].view(2, GROUP).abs().sum(1).min() > 1
    # The images are those of the prompts that stayed.
    problems = ShapesTask().train(PROBLEMS, 3)
    for number, pixels in ((0, out["pixel_values"][:1]), (5, out["pixel_values"][-1:])):
        shown = loaded.processor.image_processor(images=[problems[number].images[0]], return_tensors="pt")
        assert torch.equal(shown["pixel_values"][[0 if number == 0 else -1]], pixels)
    assert metric(trainer, "groups/rounds") == 3
    assert metric(trainer, "groups/sampled") == 6
    assert metric(trainer, "groups/informative_share") == pytest.approx(2 / 6)
    assert metric(trainer, "groups/uninformative_kept") == 0
    assert metric(trainer, "accuracy") == pytest.approx((1 + 4 + 1) / 24)  # of all that were sampled
    assert metric(trainer, "reward") == pytest.approx(2 / 8)  # of those that are trained on


def test_the_next_batch_goes_on_behind_them(loaded: LoadedModel, tmp_path: Path) -> None:
    right: dict[int, list[float]] = dict.fromkeys((0, 2, 3, 4), MIXED)
    trainer = scripted(loaded, tmp_path, right)
    batch(trainer)
    first = len(trainer.sampled)
    batch(trainer, start=2)
    seen = [n for numbers in trainer.sampled for n in numbers]
    assert seen == list(range(len(seen)))
    assert trainer.sampled[first][0] == sum(map(len, trainer.sampled[:first]))


@pytest.mark.parametrize("bound", [0.0, 0.01, 0.5])
def test_bounds_are_strict(loaded: LoadedModel, tmp_path: Path, bound: float) -> None:
    trainer = scripted(loaded, tmp_path, {0: [1.0, 1.0, 0.0, 0.0], 1: [1.0, 1.0, 1.0, 0.0]})
    sampler = trainer.group_sampler
    assert sampler is not None
    sampler.selection = replace(sampler.selection, low=bound)
    filled = sampler.fill()
    found = [group.number for group in filled.kept]
    assert found[:1] == ([1] if bound == 0.5 else [0])
    assert all(not group.informative for group in filled.spare)


def test_key_overall_keeps_a_group_of_equal_accuracy(loaded: LoadedModel, tmp_path: Path) -> None:
    key = ("--method_options", '{"objective": {"name": "dapo", "informative_groups": {"key": "overall"}}}')
    trainer = scripted(loaded, tmp_path, {0: [0.5] * GROUP}, *key)
    assert trainer.group_sampler is not None
    assert trainer.group_sampler.informative(torch.tensor([[0.5]] * GROUP + [[0.0]] * GROUP)) == [True, False]


def test_after_the_last_round_the_rest_is_kept_and_counted(loaded: LoadedModel, tmp_path: Path) -> None:
    trainer = scripted(loaded, tmp_path, {3: MIXED}, "--max_rounds", "2")
    out = batch(trainer)
    assert len(out["advantages"]) == 2 * GROUP
    assert trainer.rollout_batch.rewards[:, 0].tolist() == MIXED + [0.0] * GROUP
    assert metric(trainer, "groups/uninformative_kept") == 1


def test_or_the_run_stops(loaded: LoadedModel, tmp_path: Path) -> None:
    trainer = scripted(loaded, tmp_path, {3: MIXED}, "--max_rounds", "2", "--when_uninformative", "error")
    with pytest.raises(StoppedError, match=r"2 rounds gave 1 informative groups of the 2 .*max_rounds"):
        batch(trainer)


def test_no_prompt_is_tried_twice_for_one_batch(loaded: LoadedModel, tmp_path: Path) -> None:
    trainer = scripted(loaded, tmp_path, {}, "--max_rounds", "40")
    batch(trainer)
    assert sorted(n for numbers in trainer.sampled for n in numbers) == list(range(PROBLEMS))


@pytest.mark.parametrize(("method", "flags"), [("grpo", ()), ("dapo", ("--max_rounds", "1"))])
def test_without_selection_the_loader_s_prompts_stay(
    loaded: LoadedModel, tmp_path: Path, method: str, flags: tuple[str, ...]
) -> None:
    trainer = scripted(loaded, tmp_path, {}, *flags, method=method)
    batch(trainer, start=4)
    assert trainer.sampled == []
    assert "groups/rounds" not in trainer._metrics["train"]


def test_several_rewards_without_accuracy_are_refused(tmp_path: Path) -> None:
    run = settings(tmp_path, "dapo", {})
    run.train.max_rounds, run.train.rewards = 2, {"format": 0.5, "strict_format": 0.5}
    with pytest.raises(UserError, match="accuracy reward, but there are format, strict_format"):
        rewards_of(run)
    run.train.rewards = {"format": 0.5, "accuracy": 0.5}
    assert len(rewards_of(run)[0]) == 2


def test_a_stream_goes_on_from_its_position() -> None:
    stream = PromptStream(7, seed=3, shuffle=True)
    whole = [stream.take(1)[0] for _ in range(30)]
    assert sorted(whole[:7]) == sorted(whole[7:14]) == list(range(7))
    assert whole[:7] != whole[7:14]
    again = PromptStream(7, seed=3, shuffle=True)
    again.position = 17
    assert [again.take(1)[0] for _ in range(13)] == whole[17:]
    assert PromptStream(7, seed=4, shuffle=True).take(7) != whole[:7]
    assert PromptStream(3, seed=4, shuffle=False).take(5) == [0, 1, 2]
    assert PromptStream(3, seed=4, shuffle=False).take(5, {0, 1, 2}) == []


def candidates(
    loaded: LoadedModel, folder: Path, method: str, right: dict[int, list[float]]
) -> TokenCreditTrainer:
    """A trainer whose own sampler draws; `right` holds a prompt's rewards, all right by default."""
    run = settings(folder, method, {"objective": "dapo"}, "--max_rounds", "6", "--no_shuffle_dataset")
    problems = ShapesTask().train(PROBLEMS, 3)
    numbers = {problem.id: index for index, problem in enumerate(problems)}

    def accuracy(completions: list[Any], id: list[str], **_: Any) -> list[float]:
        return [right.get(numbers[name], RIGHT)[place % GROUP] for place, name in enumerate(id)]

    trainer = TokenCreditTrainer(
        method=run.method,
        args=run.train,
        model=loaded.model,
        processing_class=loaded.processor,
        reward_funcs=[accuracy],
        train_dataset=training_rows(ShapesTask(), problems),
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return trainer


def test_of_candidates_only_those_that_may_stay_are_held(tmp_path: Path) -> None:
    """After every round, with the numbers that a batch has whose rejected candidates are all held on to."""
    loaded = load_model("embedded", torch.float32)

    def made(folder: str, *, hold: bool) -> tuple[list[bool], dict[str, Any]]:
        trainer = candidates(loaded, tmp_path / folder, "vppo", {0: MIXED, 3: MIXED})
        sampler = trainer.group_sampler
        assert sampler is not None
        keep, only = sampler.keep, []

        def kept(groups: Any) -> None:
            if not hold:
                keep(groups)
            held = set()
            for number, call in enumerate(trainer.rollout_batch.sampler_calls):
                ran = None if call is None else call.responses
                if ran is not None:
                    held |= {(number, row) for row in (ran.place >= 0).any(1).nonzero().flatten().tolist()}
                    assert len(ran.states) == int((ran.place >= 0).sum())
            rollouts = [rollout for group in groups for rollout in group.rollouts]
            stay = {rollout.place[1::2] for rollout in rollouts}
            long = {rollout.place[1::2] for rollout in rollouts if len(rollout.completion_ids) > 1}
            assert held >= long
            only.append(held <= stay)

        sampler.keep = kept
        torch.manual_seed(4)
        data: Any = trainer.train_dataset
        rows = [data[row // GROUP] for row in range(2 * GROUP)]
        return only, trainer._generate_and_score_completions(rows)

    only, out = made("kept", hold=False)
    assert only == [True, True]
    only, same = made("held", hold=True)
    assert only == [True, False]
    for name in ("completion_ids", "advantages"):
        assert torch.equal(out[name], same[name]), name


@pytest.mark.parametrize("method", ["vgpo", "vppo", "pgpo"])
def test_scoring_goes_on_from_the_prompts_of_every_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The same scores as where prompts run again, for groups that several calls of the sampler drew."""
    loaded = load_model("embedded", torch.float32)
    trainer = candidates(loaded, tmp_path, method, {0: MIXED, 1: RIGHT, 2: MIXED})
    calls: list[tuple[Prefilled, Scores, Scores]] = []

    def both(*args: Any, prefilled: Prefilled | None, **kwargs: Any) -> Scores:
        going_on = score(*args, prefilled=prefilled, **kwargs)
        if prefilled is not None:  # a few rows are scored apart, to see whether the image matters
            calls.append((prefilled, going_on, score(*args, **kwargs)))
        return going_on

    monkeypatch.setattr("sightline.engines.trl.trainer.trainer.score", both)
    data: Any = trainer.train_dataset
    trainer._generate_and_score_completions([data[row // GROUP] for row in range(2 * GROUP)])
    ((ran, going_on, again),) = calls
    assert ran.call.tolist() == [0] * GROUP + [1] * GROUP
    torch.testing.assert_close(going_on.log_probs, again.log_probs, atol=1e-5, rtol=1e-5)
    for name, values in again.signals.items():
        torch.testing.assert_close(going_on.signals[name], values, atol=1e-4, rtol=1e-4)
        assert values.abs().max() > 1e-3
    assert [len(prefix.prompts) for prefix in ran.prefixes] == [1, 1], "no replaced group's prompt is held"
    assert all(not prefix.prompts.vision for prefix in ran.prefixes)
    assert not trainer.rollout_batch.sampler_calls and trainer.rollout_batch.prefilled is None
