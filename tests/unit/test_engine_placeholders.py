"""Image tokens towards vLLM, and none of them back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as some
from trl.data_utils import prepare_multimodal_messages

from sightline.engines.image_placeholders import (
    check_server_prompts,
    one_token_per_image,
    shortened,
    without_placeholders,
)
from sightline.engines.ranks import Ranks
from sightline.engines.trl.preflight import check_fit
from sightline.engines.trl.trainer.generation import pads_unasked, tokenized_apart
from sightline.engines.trl.trainer.noised_rollouts import NoisedSampling
from sightline.engines.trl.trainer.trainer import TokenCreditTrainer
from sightline.engines.trl.trainer.vllm_sampling import (
    PromptIds,
    TrainersVllm,
    forget_images,
    ignored_generation_config,
    trainers_vllm,
    with_written_ids,
)
from sightline.errors import UserError
from sightline.methods import method
from sightline.models.families import end_ids, image_token_id, placeholder_ids
from sightline.models.vllm_prompts import check_rotary_positions, check_same_policy

IMAGE = 5


@given(
    some.lists(some.tuples(some.lists(some.integers(6, 9), min_size=1), some.integers(1, 40)), max_size=6),
    some.lists(some.integers(6, 9)),
)
def test_it_undoes_an_expansion(parts: list[tuple[list[int], int]], tail: list[int]) -> None:
    """Text before each image, as many image tokens as it has features, and text behind the last."""
    expanded = [token for text, count in parts for token in [*text, *[IMAGE] * count]] + tail
    written = [token for text, _ in parts for token in [*text, IMAGE]] + tail
    assert one_token_per_image(expanded, IMAGE, len(parts)) == written
    assert one_token_per_image(written, IMAGE, len(parts)) == written


@pytest.mark.parametrize(("ids", "images"), [([1, 5, 5, 5, 2], 2), ([1, 2], 1), ([5, 1, 5], 1)])
def test_runs_that_are_not_the_images_are_named(ids: list[int], images: int) -> None:
    with pytest.raises(ValueError, match=rf"prompt 7 has {images} images but"):
        one_token_per_image(ids, IMAGE, images, row=7)


def test_rows_without_images_stay() -> None:
    assert shortened([[1, 5, 5], [1, 2]], [["image"], None], IMAGE) == [[1, 5], [1, 2]]
    assert shortened([[1, 2]], None, IMAGE) == [[1, 2]]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "gemma3"])
def test_families_that_a_server_may_be_asked_for(family: str) -> None:
    model, processor = tiny_models.build(family)
    check_server_prompts(processor, model.config, several=True)


@pytest.mark.parametrize(
    ("family", "several", "runs"),
    [("idefics3", False, "64x64 pixels make 5 runs"), ("llava", True, "64x64 and 64x64 pixels make 1 runs")],
)
def test_families_whose_image_tokens_a_server_is_not_told(family: str, several: bool, runs: str) -> None:
    """Tiles of their own, and a template that sets two images side by side."""
    model, processor = tiny_models.build(family)
    with pytest.raises(UserError, match=rf"vllm_mode server cannot be used with .* {runs}.*vllm_mode: coloc"):
        check_server_prompts(processor, model.config, several)


def test_images_side_by_side_do_not_matter_where_there_are_none() -> None:
    model, processor = tiny_models.build("llava")
    check_server_prompts(processor, model.config, several=False)


def test_such_a_run_is_refused_before_it_starts() -> None:
    model, processor = tiny_models.build("idefics3")
    train = SimpleNamespace(use_vllm=True, vllm_mode="server")
    loaded: Any = SimpleNamespace(model=model, processor=processor)
    with pytest.raises(UserError, match="server cannot be used with idefics3"):
        check_fit(SimpleNamespace(train=train), loaded, None, [])  # pyright: ignore


@pytest.mark.parametrize("family", tiny_models.FAMILIES)
def test_vllm_is_given_what_the_template_wrote(family: str) -> None:
    """One image token an image, or what the template has in its place, for one image, two and none."""
    _, processor = tiny_models.build(family)
    trainer = SimpleNamespace(
        processing_class=processor, tools=[], chat_template=None, chat_template_kwargs={}
    )
    asked = tiny_models.prompts()
    texts = [
        processor.apply_chat_template(list(p.messages), add_generation_prompt=True, tokenize=False)
        for p in asked
    ]
    expanded = [
        list(processor(text=[text], images=[list(p.images)] if p.images else None)["input_ids"][0])
        for text, p in zip(texts, asked, strict=True)
    ]
    shown = [prepare_multimodal_messages(list(p.messages), images=list(p.images)) for p in asked]
    found = with_written_ids(trainer, shown, expanded)
    assert found == expanded
    assert [ids.other for ids in found] == [processor.tokenizer(text)["input_ids"] for text in texts]
    assert len(found[0].other) < len(found[0]) and found[1].other == found[1]


def test_a_prompt_that_vllm_expands_otherwise_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from trl.generation.vllm_generation import VLLMGeneration

    answers: list[list[list[int]]] = [[[1, 5, 5, 2]], [[1, 5, 5, 5, 2]]]
    monkeypatch.setattr(VLLMGeneration, "generate", lambda *_, **__: (answers.pop(0), [], [], []))
    sampler: Any = TrainersVllm.__new__(TrainersVllm)
    sampler.accelerator = SimpleNamespace(unwrap_model=lambda model: model)
    sampler.model = SimpleNamespace(config=SimpleNamespace(model_type="llava_onevision"))
    asked = PromptIds([1, 5, 2], [1, 5, 5, 2])
    assert sampler.generate([asked], None, 4)[0] == [[1, 5, 5, 2]]
    with pytest.raises(UserError, match=r"a llava_onevision prompt .*5 against 4 tokens.* use_vllm: false"):
        sampler.generate([asked], None, 4)


def below_the_guards(mode: str) -> Any:
    """A trainer of a method whose rollouts all see the clean image, of which nothing else was set up."""
    trainer: Any = TokenCreditTrainer.__new__(TokenCreditTrainer)
    trainer.use_vllm, trainer.vllm_mode = True, mode
    trainer.method, trainer.num_generations, trainer.ranks = method("grpo"), 4, Ranks()
    trainer.noised = NoisedSampling(trainer)
    return trainer


class Recorded:
    """Stands for TRL's trainer below the guards."""

    def _generate_single_turn(self, prompt_ids: Any, images: Any, *_: Any, **__: Any) -> Any:
        self.given = prompt_ids
        return [], None


@pytest.mark.parametrize(
    ("mode", "expected"), [("colocate", [[1, IMAGE, 2]]), ("server", [[1, IMAGE, IMAGE, IMAGE, 2]])]
)
def test_the_trainer_shortens_for_colocated_vllm_alone(
    mode: str, expected: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl.trainer.grpo_trainer import GRPOTrainer

    recorded = Recorded()
    monkeypatch.setattr(
        GRPOTrainer, "_generate_single_turn", lambda self, *args, **__: recorded._generate_single_turn(*args)
    )
    trainer = below_the_guards(mode)
    trainer.state, trainer._last_loaded_step = SimpleNamespace(global_step=0), 0  # vLLM has these weights
    trainer.model = SimpleNamespace(config=SimpleNamespace(image_token_id=IMAGE))
    trainer._generate_single_turn([[1, IMAGE, IMAGE, IMAGE, 2]], [["image"]], {}, 4)
    assert recorded.given == expected


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_an_update_has_vllm_forget_the_images_it_encoded(
    mode: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from trl.trainer.grpo_trainer import GRPOTrainer

    calls: list[str] = []
    answers = iter([200, 404])

    def post(address: str) -> Any:
        calls.append(address)
        return SimpleNamespace(status_code=next(answers))

    def sampled(self: Any, *_: Any, **__: Any) -> Any:  # as TRL does, which sends new weights first
        calls.append("sampled")
        self._last_loaded_step = self.state.global_step
        return [], None

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", sampled)
    trainer = below_the_guards(mode)
    trainer.accelerator = SimpleNamespace(is_main_process=True)  # pyright: ignore
    trainer.model = SimpleNamespace(config=SimpleNamespace(image_token_id=IMAGE))
    engine = SimpleNamespace(reset_encoder_cache=lambda: calls.append("forgotten"))
    client = SimpleNamespace(base_url="http://server", session=SimpleNamespace(post=post))
    trainer.vllm_generation = SimpleNamespace(  # pyright: ignore
        llm=SimpleNamespace(llm_engine=engine), vllm_client=client
    )
    trainer._last_loaded_step = 0
    for step in (0, 0, 1, 1, 2):
        trainer.state = SimpleNamespace(global_step=step)  # pyright: ignore
        trainer._generate_single_turn([[1, IMAGE, 2]], [["image"]], {}, 4)
    forgotten = "forgotten" if mode == "colocate" else "http://server/reset_encoder_cache"
    assert calls == ["sampled", "sampled", forgotten, "sampled", "sampled", forgotten, "sampled"]
    kept = [record.getMessage() for record in caplog.records if "kept its encodings" in record.getMessage()]
    assert kept == (
        [] if mode == "colocate" else ["the vLLM server kept its encodings of images: it answered 404"]
    )


def test_one_rank_alone_asks_a_server_to_forget() -> None:
    trainer = TokenCreditTrainer.__new__(TokenCreditTrainer)
    trainer.vllm_mode, trainer.accelerator = "server", SimpleNamespace(is_main_process=False)  # pyright: ignore
    trainer.vllm_generation = None  # pyright: ignore  # the other ranks hold no client
    forget_images(trainer)


def asked(use_vllm: bool, mode: str = "colocate", **kwargs: Any) -> Any:
    return SimpleNamespace(use_vllm=use_vllm, vllm_mode=mode, generation_kwargs=kwargs or None)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "gemma3", "internvl", "llava_onevision"])
def test_every_path_bans_every_placeholder_but_no_end(family: str) -> None:
    model, processor = tiny_models.build(family)
    banned = placeholder_ids(model.config)
    assert image_token_id(model.config) in banned and not set(banned) & set(end_ids(model.config))
    tokenizer = processor.tokenizer
    plain = without_placeholders(asked(False), model.config, tokenizer)
    assert plain == {"suppress_tokens": banned}
    beside = without_placeholders(asked(True), model.config, tokenizer)
    assert beside == {"logit_bias": dict.fromkeys(banned, -100.0)}
    (words,) = without_placeholders(asked(True, "server"), model.config, tokenizer).values()
    assert [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words] == [[i] for i in banned]


def test_what_the_user_bans_stays_banned() -> None:
    model, processor = tiny_models.build("qwen2_5_vl")
    banned = placeholder_ids(model.config)
    found = without_placeholders(
        asked(False, suppress_tokens=[3], top_h=1), model.config, processor.tokenizer
    )
    assert found == {"suppress_tokens": sorted([3, *banned]), "top_h": 1}
    found = without_placeholders(
        asked(True, logit_bias={3: 2.0, "4": 1.0}), model.config, processor.tokenizer
    )
    assert (
        found["logit_bias"][3] == 2.0
        and found["logit_bias"][4] == 1.0
        and found["logit_bias"][banned[0]] == -100.0
    )
    found = without_placeholders(asked(True, "server", bad_words=["no"]), model.config, processor.tokenizer)
    assert found["bad_words"][0] == "no" and len(found["bad_words"]) == 1 + len(banned)


def test_what_vllm_does_not_take_from_the_model_is_said() -> None:
    saved = SimpleNamespace(
        repetition_penalty=1.05,
        temperature=1e-6,
        top_k=50,
        top_p=1.0,
        bad_words_ids=[[3]],
        eos_token_id=[7, 9],
    )
    line = ignored_generation_config(SimpleNamespace(generation_config=saved))
    assert line is not None and line.startswith(
        "the model's generation_config.json asks for temperature 1e-06, repetition_penalty 1.05, bad_words"
    )
    assert "its end ids (7, 9) do end a response" in line
    plain = SimpleNamespace(repetition_penalty=1.0, top_p=None, eos_token_id=7)
    assert ignored_generation_config(SimpleNamespace(generation_config=plain)) is None


def test_prompts_of_a_processor_that_pads_are_tokenized_apart() -> None:
    """Pixtral's asks for tensors by itself, Gemma 4's pads: TRL would take the padding for tokens."""
    import torch

    def tokenize(prompts: list[Any]) -> Any:
        (prompt,) = prompts
        return torch.tensor([[1] * prompt]), [["image"]] if prompt > 2 else None, {"pixel_values": 0}

    assert tokenized_apart([2, 3], tokenize) == ([[1, 1], [1, 1, 1]], [None, ["image"]], {})
    padding = {name: pads_unasked(tiny_models.build(name)[1]) for name in ("qwen2_5_vl", "gemma4", "gemma3")}
    assert padding == {"qwen2_5_vl": False, "gemma4": True, "gemma3": False}

    def two_lengths(*_: Any, **__: Any) -> Any:
        raise ValueError("Unable to create tensor")

    assert pads_unasked(SimpleNamespace(apply_chat_template=two_lengths))


def test_positions_that_only_transformers_interleaves_are_refused() -> None:
    model, _ = tiny_models.build("qwen3_vl")
    with pytest.raises(UserError, match="qwen3_vl has no mrope_interleaved: true"):
        check_rotary_positions(model.config)
    model.config.text_config.rope_parameters["mrope_interleaved"] = True
    check_rotary_positions(model.config)
    for family in ("qwen2_5_vl", "llava"):
        check_rotary_positions(tiny_models.build(family)[0].config)


def test_the_revision_of_the_policy_reaches_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL makes its vLLM by the model's name alone."""
    from trl.generation import vllm_generation
    from trl.trainer import grpo_trainer as module

    grpo_trainer: Any = module
    made: list[dict[str, Any]] = []

    def init(self: Any) -> None:
        self.llm = vars(vllm_generation)["LLM"](model="some/model", seed=3)

    monkeypatch.setattr(vllm_generation.VLLMGeneration, "_init_vllm", init)
    monkeypatch.setattr(vllm_generation, "LLM", lambda **given: made.append(given), raising=False)
    plain = grpo_trainer.VLLMGeneration
    model: Any = SimpleNamespace(config=SimpleNamespace())
    accelerator: Any = SimpleNamespace(unwrap_model=lambda one: one, distributed_type="NO", state=None)
    monkeypatch.setattr(vllm_generation, "DistributedBackend", lambda _: None)
    for revision in ("v1.1", None):
        with trainers_vllm(revision):
            assert grpo_trainer.VLLMGeneration is not plain
            grpo_trainer.VLLMGeneration(model=model, accelerator=accelerator, processing_class=None)
    assert grpo_trainer.VLLMGeneration is plain
    named = {"model": "some/model", "seed": 3}
    assert made == [{**named, "revision": "v1.1", "tokenizer_revision": "v1.1"}, named]


def test_families_that_vllm_samples_otherwise_are_refused() -> None:
    for family in ("gemma4", "cohere2_vision"):
        with pytest.raises(UserError, match=f"vLLM samples {family} from another policy .* use_vllm: false"):
            check_same_policy(tiny_models.build(family)[0].config, "use_vllm: false")
    for family in ("qwen2_5_vl", "gemma3"):
        check_same_policy(tiny_models.build(family)[0].config, "use_vllm: false")
