"""The first view scored from the states that sampling left, against another run of prompts and responses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_models import FAMILIES, UNSHARED, build, prompts
from transformers import GenerationConfig

from sightline.methods import Needs
from sightline.models.families import placeholder_ids
from sightline.models.generation.decoder import Sampled, sample
from sightline.models.generation.prompt_inputs import process, shown_prompts
from sightline.models.generation.sampling_params import choice
from sightline.models.scoring.cached_prompts import Prefilled
from sightline.models.scoring.hidden_states import Reading, SharedPrefix
from sightline.models.scoring.score import Scores, score
from sightline.rollouts import Rollouts
from sightline.views import Patches

GROUP = 5
FOCUS = Needs(frozenset(["visual_focus"]), None, second_view_gradient=False)
BOTH = Needs(
    frozenset(["visual_focus", "exact_kl", "entropy"]),
    Patches(size=8, per="prompt"),
    second_view_gradient=False,
)

MASKED = replace(BOTH, signals=frozenset(["exact_kl", "entropy"]))


class Batch:
    """Responses of 1 to `longest` tokens that a model has just sampled, most of which end early."""

    def __init__(self, family: str, needs: Needs, longest: int = 12):
        self.model, self.processor = build(family)
        asked = prompts()
        images = [list(prompt.images) for prompt in asked]
        text = [
            self.processor.apply_chat_template(
                list(prompt.messages), add_generation_prompt=True, tokenize=False
            )
            for prompt in asked
        ]
        found = self.processor(
            text=text, images=images, padding=True, return_tensors="pt", add_special_tokens=False
        )
        ids, mask = found["input_ids"], found["attention_mask"]
        shown = shown_prompts(self.model, ids, mask, process(self.model, self.processor, images))
        owner = torch.arange(len(asked)).repeat_interleave(GROUP)
        banned = placeholder_ids(self.model.config)
        ends = list(range(0, self.model.config.get_text_config().vocab_size, 5))
        config = GenerationConfig(
            max_new_tokens=longest, do_sample=True, pad_token_id=0, eos_token_id=ends, suppress_tokens=banned
        )
        torch.manual_seed(3)
        self.sampled: Sampled = sample(
            self.model,
            shown,
            owner,
            choice(config, self.model.generation_config),
            keep=Reading.of(needs),
            keep_states=True,
        )
        assert self.sampled.prefix is not None
        self.rollouts = Rollouts(
            prompt_ids=ids[owner],
            prompt_mask=mask[owner],
            response_ids=self.sampled.token_ids,
            mask=self.sampled.mask,
            group_ids=owner,
            images=[images[place] for place in owner.tolist()],
            sample_ids=[str(place) for place in owner.tolist()],
            rollout_ids=torch.arange(len(owner)) % GROUP,
        )
        rows = torch.arange(len(owner))
        self.ran = Prefilled.of([self.sampled.prefix], torch.zeros_like(owner), owner, rows)

    def score(self, needs: Needs, ran: Prefilled | None = None, rollouts: Rollouts | None = None) -> Scores:
        return score(
            self.model, self.processor, rollouts or self.rollouts, needs, seed=1, step=2, prefilled=ran
        )


def same(found: Scores, wanted: Scores) -> None:
    torch.testing.assert_close(found.log_probs, wanted.log_probs, atol=1e-5, rtol=1e-5)
    for name, values in wanted.signals.items():
        torch.testing.assert_close(found.signals[name], values, atol=1e-5, rtol=1e-4)
        assert values.abs().max() > 1e-3, name


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in UNSHARED])
def test_scores_are_those_of_another_run(family: str) -> None:
    batch = Batch(family, BOTH)
    lengths = batch.rollouts.mask.sum(1)
    assert lengths.min() < 4 and lengths.max() > 7, "rows left the batch early and late"
    same(batch.score(BOTH, batch.ran), batch.score(BOTH))


def test_neither_prompts_nor_responses_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch("qwen3_vl", FOCUS)
    wanted = batch.score(FOCUS)
    runs: list[Any] = []
    batch.model.base_model.register_forward_pre_hook(lambda *_: runs.append(1))
    same(batch.score(FOCUS, batch.ran), wanted)
    assert not runs


def test_some_rows_of_a_call_and_only_their_memory() -> None:
    """As after dynamic sampling, in another order."""
    batch = Batch("qwen3_vl", BOTH)
    assert batch.sampled.prefix is not None
    rows = torch.tensor([17, 3, 4, 16, 0])
    names = ("prompt_ids", "prompt_mask", "response_ids", "mask", "group_ids", "rollout_ids")
    part = replace(
        batch.rollouts,
        **{name: getattr(batch.rollouts, name)[rows] for name in names},
        images=[batch.rollouts.images[row] for row in rows.tolist()],
        sample_ids=[batch.rollouts.sample_ids[row] for row in rows.tolist()],
    )
    ran = Prefilled.of([batch.sampled.prefix], torch.zeros_like(rows), batch.sampled.owner[rows], rows)
    same(batch.score(BOTH, ran, part), batch.score(BOTH, rollouts=part))
    (prefix,) = ran.prefixes
    assert prefix.responses is not None and len(prefix.responses.states) < len(rows) * 13
    assert len(batch.sampled.prefix.responses.states) > 20 * 2  # type: ignore[union-attr]


@pytest.mark.parametrize("change", ["another token", "another prompt's row", "nothing kept"])
def test_what_did_not_run_so_runs_again(change: str) -> None:
    batch = Batch("qwen3_vl", BOTH)
    ran, rollouts = batch.ran, batch.rollouts
    if change == "another token":
        ids = rollouts.response_ids.clone()
        ids[2, 0] = (ids[2, 0] + 1) % 90 + 10
        rollouts = replace(rollouts, response_ids=ids)
    elif change == "another prompt's row":
        assert ran.response is not None
        ran = replace(ran, response=torch.where(torch.arange(len(rollouts)) == 4, -1, ran.response))
    else:
        ran = replace(ran, response=None)
    same(batch.score(BOTH, ran, rollouts), batch.score(BOTH, rollouts=rollouts))


@pytest.mark.parametrize("needs", [MASKED, FOCUS])
def test_responses_of_one_token(needs: Needs) -> None:
    """Of which sampling ran none, and so kept no state, unless a signal reads that of the last token."""
    batch = Batch("qwen3_vl", needs, longest=1)
    assert batch.rollouts.response_ids.shape[1] == 1
    same(batch.score(needs, batch.ran), batch.score(needs))


def test_states_of_another_layer_are_not_kept() -> None:
    needs = replace(FOCUS, layer=1)
    batch = Batch("qwen3_vl", needs)
    assert batch.sampled.prefix is not None and batch.sampled.prefix.responses is None
    same(batch.score(needs, batch.ran), batch.score(needs))


def test_draws_do_not_depend_on_what_is_kept() -> None:
    batch, plain = Batch("qwen3_vl", FOCUS), Batch("qwen3_vl", replace(FOCUS, layer=1))
    assert torch.equal(batch.sampled.token_ids, plain.sampled.token_ids)
    assert isinstance(batch.sampled.prefix, SharedPrefix)
