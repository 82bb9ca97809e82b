"""Prompts prefilled once: every family writes what transformers' `generate` writes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_models import FAMILIES, UNSHARED, build, prompts
from transformers import GenerationConfig

from sightline.models.families import image_features_inputs, placeholder_ids, type_ids
from sightline.models.generation.decoder import prefills_once, sample
from sightline.models.generation.prompt_inputs import make_prompts
from sightline.models.generation.sampling_params import choice

GROUP = 3
SHARED = [name for name in FAMILIES if name not in UNSHARED]


def inputs(model: Any, processor: Any, repeats: int) -> Any:
    """Every prompt `repeats` times, as the processor gives them."""
    asked = [one for one in prompts() for _ in range(repeats)]
    texts = [
        processor.apply_chat_template(list(one.messages), add_generation_prompt=True, tokenize=False)
        for one in asked
    ]
    found = processor(
        text=texts,
        images=[list(one.images) for one in asked],
        padding=True,
        return_tensors="pt",
        add_special_tokens=False,
    )
    found.update(type_ids(model, found["input_ids"]))
    return found


def config(model: Any, processor: Any, **changes: Any) -> GenerationConfig:
    settings = {
        "max_new_tokens": 12,
        "do_sample": False,
        "suppress_tokens": placeholder_ids(model.config),
        # Some letters end a response too, so that rows end at different times.
        "eos_token_id": [processor.tokenizer.eos_token_id, *range(100, 140)],
        "pad_token_id": processor.tokenizer.pad_token_id,
    }
    return GenerationConfig(**(settings | changes))


def ours(model: Any, processor: Any, settings: GenerationConfig) -> Any:
    found = inputs(model, processor, 1)
    shown = make_prompts(
        model, found["input_ids"], found["attention_mask"], image_features_inputs(model, dict(found))
    )
    owner = torch.arange(len(shown)).repeat_interleave(GROUP)
    return sample(model, shown, owner, choice(settings, model.generation_config))


@pytest.mark.parametrize("family", SHARED)
def test_greedy_responses_are_those_of_generate(family: str) -> None:
    model, processor = build(family)
    settings = config(model, processor, repetition_penalty=1.3)
    found = inputs(model, processor, GROUP)
    width = found["input_ids"].shape[1]
    with torch.no_grad():
        wanted = model.generate(**found, generation_config=settings)[:, width:]
    got = ours(model, processor, settings)
    assert got.token_ids.tolist() == wanted[:, : got.token_ids.shape[1]].tolist()


@pytest.mark.parametrize("family", SHARED)
def test_sampled_tokens_come_from_generate_s_distribution(family: str) -> None:
    """The log-probs of what was drawn, against the whole sequence in one forward and its own warpers."""
    model, processor = build(family)
    settings = config(model, processor, do_sample=True, temperature=0.8, top_k=40, top_p=0.9, min_p=0.01)
    torch.manual_seed(3)
    got = ours(model, processor, settings)
    assert len(set(got.mask.sum(1).tolist())) > 2, "rows end at different times, so that some are left out"
    assert not torch.isin(got.token_ids[got.mask.bool()], torch.tensor(placeholder_ids(model.config))).any()
    found = inputs(model, processor, GROUP)
    width = found["input_ids"].shape[1]
    ids = torch.cat([found["input_ids"], got.token_ids], 1)
    full = {**found, "input_ids": ids, **type_ids(model, ids)}
    full["attention_mask"] = torch.cat([found["attention_mask"], got.mask], 1)
    with torch.no_grad():
        logits = model(**full).logits.float()
    processors = choice(settings, model.generation_config).processors
    for step in range(got.token_ids.shape[1]):
        going = got.mask[:, step].bool()
        drawn_from = processors(ids[going, : width + step], logits[going, width + step - 1]).log_softmax(-1)
        wanted = drawn_from.gather(-1, got.token_ids[going, step, None])[:, 0]
        torch.testing.assert_close(got.log_probs[going, step], wanted, atol=1e-4, rtol=1e-4)
    assert 0 < got.banned_mass < 0.5


def test_equal_seeds_give_equal_responses_and_other_seeds_others() -> None:
    model, processor = build("qwen3_vl")
    settings = config(model, processor, do_sample=True)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(ours(model, processor, settings).lists())
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    "changes", [{"num_beams": 2}, {"no_repeat_ngram_size": 1}, {"min_new_tokens": 1}, {"stop_strings": ["a"]}]
)
def test_settings_beyond_the_sampler_are_left_to_generate(changes: dict[str, Any], caplog: Any) -> None:
    model, processor = build("llava")
    assert prefills_once(model, config(model, processor, num_beams=1, typical_p=1.0))
    assert not prefills_once(model, config(model, processor, **changes))
