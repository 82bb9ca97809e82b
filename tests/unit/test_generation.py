"""Answers and rollouts: prompts run once, draws are seeded, odd settings are left to transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_models import build, make_image, prompt, prompts
from transformers import GenerationConfig

from sightline.engines.trl.trainer.generation import tokenized_once
from sightline.models.families import placeholder_ids
from sightline.models.generation import generate as generation
from sightline.models.generation.decoder import OverflownError
from sightline.models.generation.generate import Decoding, Prompt, generate
from sightline.models.generation.sampling_params import choice, why_not_honoured

LONGEST = 9


@pytest.fixture
def qwen() -> tuple[Any, Any]:
    return build("qwen3_vl")


def repeated(count: int) -> list[Prompt]:
    """Every prompt several times, the same images each time."""
    return [one for one in prompts() for _ in range(count)]


def test_greedy_answers_are_those_of_stock_generate(
    qwen: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = qwen
    found = generate(model, processor, repeated(2), Decoding(LONGEST), batch_size=5)
    monkeypatch.setattr(generation, "prefills_once", lambda *_: False)
    assert found == generate(model, processor, repeated(2), Decoding(LONGEST), batch_size=5)
    assert all(answer.prompt_ids and len(answer.token_ids) <= LONGEST for answer in found)


def test_a_prompt_that_occurs_often_is_encoded_and_prefilled_once(
    qwen: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = qwen
    pixels: list[int] = []
    encode = model.model.get_image_features
    monkeypatch.setattr(
        model.model, "get_image_features", lambda x, *a, **k: pixels.append(len(x)) or encode(x, *a, **k)
    )
    generate(model, processor, repeated(3), Decoding(2))
    assert pixels == [88]
    pixels.clear()
    # The same words about another image are another prompt.
    two = [prompt("How many?", [make_image(32, 32, seed)]) for seed in (1, 2)]
    generate(model, processor, two, Decoding(2))
    assert pixels == [32]


def test_draws_come_from_the_seed_and_leave_the_global_generator(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    torch.manual_seed(7)
    before = torch.get_rng_state()
    sampled = [
        generate(model, processor, repeated(2), Decoding(LONGEST, temperature=1.0, seed=seed))
        for seed in (1, 1, 2)
    ]
    assert sampled[0] == sampled[1] != sampled[2]
    assert torch.equal(torch.get_rng_state(), before)
    of_one_prompt = [answer.token_ids for answer in sampled[0][:2]]
    assert of_one_prompt[0] != of_one_prompt[1]


def test_placeholders_are_never_sampled_even_if_likeliest(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    banned = placeholder_ids(model.config)
    with torch.no_grad():
        head = torch.nn.Linear(32, model.config.text_config.vocab_size)
        head.weight.zero_()
        head.bias.zero_()
        head.bias[banned] = 20.0
    model.lm_head = head
    for temperature in (0.0, 1.0):
        answers = generate(model, processor, prompts(), Decoding(LONGEST, temperature=temperature))
        assert not {token for answer in answers for token in answer.token_ids} & set(banned)


def test_the_end_is_kept_and_a_cut_answer_is_marked(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    end = processor.tokenizer.eos_token_id
    answers = generate(model, processor, repeated(8), Decoding(40, temperature=3.0, seed=0))
    for answer in answers:
        assert (end in answer.token_ids) == (answer.token_ids[-1] == end) == (not answer.truncated)
        assert answer.truncated == (len(answer.token_ids) == 40 and answer.token_ids[-1] != end)
    assert {answer.truncated for answer in answers} == {True, False}


def test_a_model_in_training_goes_back_to_it(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    model.train()
    generate(model, processor, prompts(), Decoding(2))
    assert model.training


# --- settings ----------------------------------------------------------------------------------------


def test_what_is_left_open_is_as_the_model_s_own_config_has_it() -> None:
    own = GenerationConfig(temperature=0.6, top_p=0.9, eos_token_id=[1, 2], pad_token_id=3)
    found = choice(GenerationConfig(max_new_tokens=4, do_sample=True, temperature=1.0, top_k=0), own)
    assert (found.end_ids, found.pad_id, found.sampled, found.max_new_tokens) == ([1, 2], 3, True, 4)
    assert [type(one).__name__ for one in found.processors] == ["TopPLogitsWarper"]
    assert [type(one).__name__ for one in choice(GenerationConfig(max_new_tokens=4), own).processors] == []
    stock = choice(GenerationConfig(max_new_tokens=4, do_sample=True, temperature=1.0), GenerationConfig())
    assert [type(one).__name__ for one in stock.processors] == ["TopKLogitsWarper"], (
        "transformers' default 50"
    )


@pytest.mark.parametrize(
    ("name", "value", "honoured"),
    [
        ("num_beams", 1, True),
        ("num_beams", 4, False),
        ("repetition_penalty", 1.2, True),
        ("typical_p", 0.5, False),
        ("min_new_tokens", 1, False),
        ("no_repeat_ngram_size", 0, True),
        ("stop_strings", ["\n"], False),
        ("num_return_sequences", 2, False),
        ("cache_implementation", "static", False),
    ],
)
def test_settings_are_honoured_or_named(name: str, value: Any, honoured: bool) -> None:
    with_it = GenerationConfig(max_new_tokens=3, do_sample=True, **{name: value})
    for given, own in ((with_it, GenerationConfig()), (GenerationConfig(max_new_tokens=3), with_it)):
        reason = why_not_honoured(given, own)
        assert reason is None if honoured else reason is not None and reason.startswith(name)
    assert why_not_honoured(GenerationConfig(), GenerationConfig()) == "no max_new_tokens"


# --- TRL's prompts -----------------------------------------------------------------------------------


def test_rows_of_one_prompt_are_tokenized_once() -> None:
    images = [make_image(32, 32, seed) for seed in range(2)]

    def messages(text: str, image: Any) -> list[dict[str, Any]]:
        parts = [{"type": "image", "image": image}, {"type": "text", "text": text}]
        return [{"role": "user", "content": parts}]

    rows = [messages("a", images[0]), messages("a", images[0]), messages("a", images[1])]
    rows += [messages("b", images[1]), messages("a", images[0])]
    seen: list[Any] = []

    def tokenize(asked: list[Any]) -> Any:
        seen.extend(asked)
        return [[number] for number in range(len(asked))], [["p"] for _ in asked], {"pixel_values": 1}

    ids, images, fields = tokenized_once(rows, tokenize)
    assert len(seen) == 3
    assert [asked[0]["content"] for asked in (seen[i] for (i,) in ids)] == [row[0]["content"] for row in rows]
    assert len(images) == 5
    assert fields == {}


# --- logits that are not finite ------------------------------------------------------------------------


def test_a_row_that_overflows_ends_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = build("qwen2_5_vl")
    decoding = Decoding(LONGEST, temperature=1.0, seed=1)
    before = generate(model, processor, repeated(2), decoding)
    token = before[3].token_ids[0]
    with torch.no_grad():
        model.get_input_embeddings().weight[token] = torch.inf
    said: list[str] = []
    monkeypatch.setattr(generation._log, "warning", said.append)
    after = generate(model, processor, repeated(2), decoding)
    assert after[3].token_ids == [token, processor.tokenizer.pad_token_id]
    assert max(len(answer.token_ids) for answer in after) == LONGEST
    ended = sum(token in answer.token_ids[:-1] for answer in after)
    assert said == [f"{ended} answers end where the model's logits were not finite"]


def test_a_model_that_overflows_everywhere_is_an_error(qwen: tuple[Any, Any]) -> None:
    model, processor = qwen
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(torch.nan)
    with pytest.raises(OverflownError):
        generate(model, processor, repeated(2), Decoding(LONGEST))
