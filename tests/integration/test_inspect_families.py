"""Every family of models: what the inspect page shows is what the scoring pass scored."""

import json

import pytest
import tiny_models
import torch

from sightline.analysis import write_inspection
from sightline.evaluation.tokens.inspection import InspectOptions, Subject, inspection
from sightline.evaluation.tokens.top_tokens import attention_shares, likeliest, occlusion
from sightline.methods import Needs, method
from sightline.models.draw_views import draw_view
from sightline.models.generation.generate import Answer
from sightline.models.loading import LoadedModel
from sightline.models.scoring.score import score
from sightline.signals import exact_kl
from sightline.tasks.problem import Problem
from sightline.views import view

pytestmark = pytest.mark.slow


def distributions(model, processor, rollouts, images, **hidden):
    """log p of every token of the vocabulary, [B, T, V]."""
    words = model.get_output_embeddings().weight.shape[0]
    found = likeliest(model, processor, rollouts, images, count=words, **hidden)
    return (
        torch.zeros_like(found.probabilities)
        .scatter(-1, found.tokens, found.probabilities)
        .clamp(min=1e-30)
        .log()
    )


@pytest.mark.parametrize("family", tiny_models.FAMILIES)
def test_likeliest_tokens_give_the_scored_kl(family):
    model, processor = tiny_models.build(family)
    rollouts = tiny_models.rollouts(model, processor, tiny_models.prompts(), group=2)
    seen = distributions(model, processor, rollouts, rollouts.images)
    shown = rollouts.mask.bool() & torch.tensor(rollouts.has_image)[:, None]
    for name in ("black", "text_only"):
        needs = Needs(frozenset({"exact_kl"}), view(name), False)
        scored = score(model, processor, rollouts, needs, seed=0, step=0).signals["exact_kl"]
        hide = name == "text_only"
        images = rollouts.images
        if not hide:
            images = draw_view(view(name), images, rollouts.sample_ids, processor, seed=0, step=0)
        blind = distributions(model, processor, rollouts, images, hide_images=hide)
        assert torch.allclose(exact_kl(seen, blind)[shown], scored[shown], atol=1e-5)
    shares = attention_shares(model, processor, rollouts, 0)
    assert torch.allclose(shares.sum(0), torch.ones(shares.shape[1]), atol=1e-5)
    nothing_hidden = occlusion(model, processor, rollouts, 0, [0], [list(rollouts.images[0])])
    assert nothing_hidden.tolist() == [[pytest.approx(0.0, abs=1e-6)]]


def test_problems_without_images_with_several_and_empty_answers_become_a_page(tmp_path):
    """On a vocabulary of bytes, of which several make up one character."""
    model, processor = tiny_models.build("qwen2_5_vl")
    asked = tiny_models.prompts()
    rollouts = tiny_models.rollouts(model, processor, asked, group=1)
    written = [processor.tokenizer("90° 三角", add_special_tokens=False)["input_ids"], *([[]] * 3)]
    subjects = []
    for row, prompt in enumerate(asked):
        ids = written[row] or rollouts.response_ids[row][rollouts.mask[row].bool()].tolist()
        prompt_ids = rollouts.prompt_ids[row][rollouts.prompt_mask[row].bool()].tolist()
        told = Answer(prompt_ids, ids, processor.tokenizer.decode(ids), truncated=False)
        subjects.append(Subject(Problem(f"p{row}", "what ?", tuple(prompt.images), "1"), told, row == 0))
    loaded = LoadedModel(model, processor, "tiny")
    wanted = InspectOptions(
        (view("black"), view("text_only")), (method("vgpo"), method("pgpo")), occlusion=1, attention=True
    )
    data = inspection(loaded, subjects, wanted)
    (tmp_path / "inspect.json").write_text(json.dumps(data))
    text = write_inspection(tmp_path).read_text(encoding="utf-8")
    assert "90" in text and "°" in text and "三" in text
    answers = [sample["answers"][0] for sample in data["samples"]]
    assert answers[1]["scores"]["exact_kl/black"] == [0.0] * len(answers[1]["tokens"])  # no image to miss
    assert answers[1]["weights"]["pgpo"] == [1.0] * len(answers[1]["tokens"])
    assert answers[3]["tokens"] == []
    assert [len(one["occlusion"]) for one in answers] == [1, 0, 2, 0]
