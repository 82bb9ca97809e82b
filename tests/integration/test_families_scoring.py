"""Every family's scores, shared prompts or not, against rows run one by one with full logits."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest
import torch
from tiny_models import FAMILIES, UNSHARED, build, prompts, rollouts
from torch import Tensor
from transformers import GenerationConfig

from sightline.methods import Needs
from sightline.models.draw_views import draw_view
from sightline.models.families import image_token_id, unmasked_layers
from sightline.models.generation.decoder import sample
from sightline.models.generation.prompt_inputs import process, shown_prompts
from sightline.models.generation.sampling_params import choice
from sightline.models.scoring.cached_prompts import Prefilled
from sightline.models.scoring.hidden_states import Reading, why_not_shared
from sightline.models.scoring.score import score
from sightline.rollouts import Rollouts
from sightline.views import Patches, PixelView, TextOnly, View

GROUP = 2
SIGNALS = frozenset([
    "exact_kl", "sampled_k3", "entropy", "jensen_shannon", "visual_focus", "hidden_similarity",
    "symmetric_kl", "other_entropy", "abs_log_ratio",
])  # fmt: skip
VIEWS: dict[str, View] = {
    "patches per rollout": Patches(size=8, per="rollout"),
    "patches per prompt": Patches(size=8, per="prompt"),
    "text only": TextOnly(),
}


class Reference:
    """One row at a time, unpadded, through the model's own forward, logits in full."""

    def __init__(self, family: str):
        self.model, self.processor = build(family)
        self.asked = prompts()
        self.batch = rollouts(self.model, self.processor, self.asked, group=GROUP)
        self.firsts: dict[int, Any] = {}

    def inputs(self, row: int, images: Any) -> dict[str, Tensor]:
        """Prompt and response of one row."""
        text = self.processor.apply_chat_template(
            list(self.asked[row // GROUP].messages), add_generation_prompt=True, tokenize=False
        )
        found = dict(
            self.processor(
                text=[text],
                images=[list(images)] if images else None,
                return_tensors="pt",
                add_special_tokens=False,
            )
        )
        response = self.batch.response_ids[row][self.batch.mask[row].bool()][None]
        for name in ("mm_token_type_ids", "token_type_ids"):
            if name in found:
                found[name] = torch.cat([found[name], torch.zeros_like(response)], 1)
        found["input_ids"] = torch.cat([found["input_ids"], response], 1)
        found["attention_mask"] = torch.ones_like(found["input_ids"])
        if name := next((n for n in ("mm_token_type_ids", "token_type_ids") if n in self.takes()), None):
            is_image = found["input_ids"] == image_token_id(self.model.config)
            found[name] = is_image.long()
        return {key: value for key, value in found.items() if key in self.takes()}

    def takes(self) -> Any:
        """What the forward accepts."""
        return inspect.signature(self.model.forward).parameters

    def second(self, row: int, view: View) -> dict[str, Tensor]:
        """The row with its image taken away."""
        images = list(self.asked[row // GROUP].images)
        if not isinstance(view, TextOnly):
            assert isinstance(view, PixelView)
            draw = row % GROUP if view.per == "rollout" else 0
            shown = draw_view(
                view, [images], [str(row // GROUP)], self.processor, seed=5, step=2, draws=[draw]
            )[0]
            return self.inputs(row, shown)
        full = self.inputs(row, images)
        hidden = full["input_ids"] == image_token_id(self.model.config)
        positions = torch.arange(full["input_ids"].shape[1])[None]
        if hasattr(self.model.model, "get_rope_index") and images:
            positions, _ = self.model.model.get_rope_index(
                full["input_ids"],
                image_grid_thw=full["image_grid_thw"],
                mm_token_type_ids=full["mm_token_type_ids"],
            )
        if not unmasked_layers(self.model):
            return {**full, "position_ids": positions, "attention_mask": (~hidden).long()}
        left = (~hidden)[0]
        return {
            "input_ids": full["input_ids"][:, left],
            "attention_mask": full["attention_mask"][:, left],
            "position_ids": positions[..., left],
        }

    def first(self, row: int) -> Any:
        """The row as it was seen."""
        if row not in self.firsts:
            inputs = self.inputs(row, list(self.asked[row // GROUP].images))
            self.firsts[row] = inputs["input_ids"][0], self.model(**inputs, output_hidden_states=True)
        return self.firsts[row]

    def row(self, row: int, view: View, layer: int) -> dict[str, Tensor]:
        """Every number of one row."""
        count = int(self.batch.mask[row].sum())
        if count == 0:
            return {}
        ids, seen = self.first(row)
        log_p = seen.logits[0, -count - 1 : -1].log_softmax(-1)
        log_q = self.model(**self.second(row, view)).logits[0, -count - 1 : -1].log_softmax(-1)
        picked = torch.arange(count), ids[-count:]
        ratio = log_q[picked] - log_p[picked]
        middle = torch.logaddexp(log_p, log_q) - torch.log(torch.tensor(2.0))
        states = seen.hidden_states[layer][0]
        is_image = ids == image_token_id(self.model.config)
        focus = similarity = torch.zeros(count)
        if is_image.any():
            layers = [
                torch.cosine_similarity(layer[0, -count:, None], layer[0, is_image][None], dim=-1).mean(1)
                for layer in seen.hidden_states
            ]
            similarity = torch.stack(layers).mean(0)
            focus = torch.cosine_similarity(states[-count:], states[is_image].mean(0)[None], dim=-1)
        return {
            "log_prob": log_p[picked],
            "other_log_prob": log_q[picked],
            "exact_kl": (log_p.exp() * (log_p - log_q)).sum(-1),
            "sampled_k3": (ratio.exp() - ratio - 1).clamp(0, 10),
            "entropy": -(log_p.exp() * log_p).sum(-1),
            "jensen_shannon": 0.5
            * ((log_p.exp() * (log_p - middle)) + log_q.exp() * (log_q - middle)).sum(-1),
            "visual_focus": focus,
            "hidden_similarity": similarity,
            "symmetric_kl": 0.5 * ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1),
            "other_entropy": -(log_q.exp() * log_q).sum(-1) * bool(is_image.any()),
            "abs_log_ratio": ratio.abs(),
        }

    @torch.no_grad()
    def all(self, view: View, layer: int) -> dict[str, Tensor]:
        """Every number of the batch, [B, T]."""
        rows = [self.row(row, view, layer) for row in range(len(self.batch))]
        found = {}
        for name in rows[0]:
            found[name] = torch.zeros(self.batch.mask.shape)
            for index, values in enumerate(rows):
                if values:
                    found[name][index, : len(values[name])] = values[name]
        return found


reference = functools.cache(Reference)


def sampled_in_two_calls(known: Reference, layer: int) -> Prefilled:
    """The prompts as two calls of the sampler ran them, the second one's in reverse; rows as in the batch."""
    model, batch = known.model, known.batch
    reading = Reading(layer, ("hidden_similarity", "visual_focus"))
    settings = GenerationConfig(max_new_tokens=2, do_sample=True, pad_token_id=0, eos_token_id=1)
    drawn, place = [], torch.zeros(len(batch), dtype=torch.long)
    for numbers in ([0, 1], [3, 2]):
        rows = [GROUP * number for number in numbers]
        shown = process(model, known.processor, [batch.images[row] for row in rows])
        asked = shown_prompts(model, batch.prompt_ids[rows], batch.prompt_mask[rows], shown)
        owner = torch.arange(len(rows)).repeat_interleave(GROUP)
        drawn.append(sample(model, asked, owner, choice(settings, model.generation_config), keep=reading))
        for index, row in enumerate(rows):
            place[row : row + GROUP] = index
    call = (torch.arange(len(batch)) >= 2 * GROUP).long()
    return Prefilled.of([one.prefix for one in drawn if one.prefix is not None], call, place)


def check(
    family: str, view: View, share: bool, layer: int = -1, rows_per_pass: int = 3, sampled: bool = False
) -> None:
    """Scores equal the reference to 1e-4, in whatever order rows stand."""
    known = reference(family)
    batch, expected = known.batch, known.all(view, layer)
    assert expected["exact_kl"].max() > 5e-3, "the views differ, so that the test can fail"
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(1))
    rows: list[int] = order.tolist()
    names = ("prompt_ids", "prompt_mask", "response_ids", "mask", "group_ids")
    shuffled = Rollouts(
        *(getattr(batch, name)[order] for name in names),
        images=[batch.images[row] for row in rows],
        sample_ids=[batch.sample_ids[row] for row in rows],
        rollout_ids=order % GROUP,
    )
    ran = None
    if sampled:
        ran = sampled_in_two_calls(known, layer)
        ran = Prefilled(ran.prefixes, ran.call[order], ran.place[order])
    found = score(
        known.model,
        known.processor,
        shuffled,
        Needs(SIGNALS, view, second_view_gradient=False, layer=layer),
        seed=5,
        step=2,
        rows_per_pass=rows_per_pass,
        share_prefix=share,
        prefilled=ran,
    )
    assert found.skipped == {}
    got = {**found.signals, "log_prob": found.log_probs, "other_log_prob": found.other_log_probs}
    for name, values in expected.items():
        message = functools.partial("{}: {}".format, name)
        torch.testing.assert_close(got[name], values[order], atol=1e-4, rtol=1e-4, msg=message)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("family", FAMILIES)
def test_shared_prompts_give_the_reference_s_scores(family: str, view: str) -> None:
    check(family, VIEWS[view], share=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_plain_pass_gives_the_reference_s_scores(family: str) -> None:
    check(family, VIEWS["patches per prompt"], share=False)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in UNSHARED])
def test_prompts_that_sampling_ran_give_the_reference_s_scores(family: str, view: str) -> None:
    check(family, VIEWS[view], share=True, sampled=True)


def test_they_do_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the text-only view nothing needs the vision tower any more."""
    known = reference("qwen2_5_vl")
    ran = sampled_in_two_calls(known, -1)
    monkeypatch.setattr(known.model.model, "get_image_features", None)
    needs = Needs(SIGNALS, TextOnly(), second_view_gradient=False)
    score(known.model, known.processor, known.batch, needs, seed=5, step=2, prefilled=ran)
    with pytest.raises(TypeError):
        score(known.model, known.processor, known.batch, needs, seed=5, step=2)
    other = Prefilled(ran.prefixes, ran.call[1:], ran.place[1:])
    with pytest.raises(ValueError, match="prefilled is of 7 rows, the rollouts are 8"):
        score(known.model, known.processor, known.batch, needs, seed=5, step=2, prefilled=other)


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("layer", [0, 1, -2])
@pytest.mark.parametrize("family", ["qwen3_vl", "gemma3"])
def test_focus_reads_the_states_of_one_layer(family: str, layer: int, sampled: bool) -> None:
    check(family, VIEWS["patches per prompt"], share=True, layer=layer, sampled=sampled)


@pytest.mark.parametrize("family", UNSHARED)
def test_layers_that_a_mask_does_not_reach_would_still_see_a_hidden_image(family: str) -> None:
    known = reference(family)
    assert why_not_shared(known.model)
    row = 0
    full = known.inputs(row, known.asked[0].images)
    hidden = (full["input_ids"] == image_token_id(known.model.config)).long()
    count = int(known.batch.mask[row].sum())
    with torch.no_grad():
        left_out = known.model(**known.second(row, TextOnly())).logits[0, -count - 1 : -1].log_softmax(-1)
        masked = (
            known.model(**full | {"attention_mask": 1 - hidden}).logits[0, -count - 1 : -1].log_softmax(-1)
        )
    assert (left_out - masked).abs().max() > 1e-2
