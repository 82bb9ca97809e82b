"""Backends: what is sent, what comes back, and that a sample is the same whatever it is answered with."""

from __future__ import annotations

import base64
import io
import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_models
import torch
from evaluation_fixtures import make_image
from PIL import Image

from sightline.cli.eval import _backend as backend_of
from sightline.cli.eval import _plan as plan_of
from sightline.cli.eval import parser as eval_parser
from sightline.errors import UserError
from sightline.evaluation.backends import Request
from sightline.evaluation.backends.local import LocalBackend, SampleByRow
from sightline.evaluation.backends.prompt_guard import PromptGuard
from sightline.evaluation.backends.server import chat_request
from sightline.evaluation.backends.vllm import VllmBackend, engine_input, sampling_options, shards
from sightline.evaluation.benchmarks import suite
from sightline.evaluation.run.start import weights_name
from sightline.models.generation.generate import Decoding, Prompt
from sightline.models.loading import load_model
from sightline.tasks import ShapesTask

SAMPLED = Decoding(24, temperature=1.0)


@pytest.fixture(scope="module")
def loaded():
    return load_model("embedded", "float32")


@pytest.fixture(scope="module")
def requests():
    task = ShapesTask()
    problems = task.test(12, 0)
    return [Request(Prompt(task.messages(p), list(p.images)), seed=n) for n, p in enumerate(problems[:12])]


def test_rows_are_drawn_from_the_softmax_by_their_own_seeds() -> None:
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0]).repeat(4000, 1)
    wanted = (logits[0] / 0.7).softmax(-1)
    drawn = SampleByRow(range(4000), 0.7, 1.0, torch.device("cpu"))(torch.empty(0), logits).argmax(-1)
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert torch.allclose(shares, wanted, atol=4 * 0.5 / 4000**0.5)
    alone = SampleByRow([17], 0.7, 1.0, torch.device("cpu"))(torch.empty(0), logits[:1]).argmax(-1)
    assert alone[0] == drawn[17]


def test_top_p_keeps_the_smallest_set_that_holds_the_mass() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(500, 1)
    for top_p, kept in ((0.5, {0}), (0.51, {0, 1}), (0.8, {0, 1}), (0.9, {0, 1, 2}), (1.0, {0, 1, 2, 3})):
        drawn = SampleByRow(range(500), 1.0, top_p, torch.device("cpu"))(torch.empty(0), logits)
        assert set(drawn.argmax(-1).tolist()) == kept, top_p


def test_a_sample_does_not_depend_on_its_batch(loaded, requests) -> None:
    backend = LocalBackend(loaded, 12)
    together = [reply.text for reply in backend.answers(requests, SAMPLED)]
    apart = [reply.text for one in requests for reply in backend.answers([one], SAMPLED)]
    turned = [reply.text for reply in backend.answers(requests[::-1], SAMPLED)][::-1]
    assert together == apart == turned
    again = [Request(one.prompt, one.seed + 100) for one in requests]
    assert together != [reply.text for reply in backend.answers(again, SAMPLED)]


def test_samples_follow_the_model_s_own_distribution(loaded, requests) -> None:
    """The first token of 300 samples of one prompt against the softmax of its logits."""
    request = requests[0]
    backend = LocalBackend(loaded, 300)
    replies = backend.answers([Request(request.prompt, n) for n in range(300)], Decoding(4, temperature=2.0))
    counts = Counter(tuple(reply.token_ids or [])[:3] for reply in replies)
    greedy = backend.answers([request], Decoding(4))[0].token_ids or []
    assert 1 < len(counts) < 300
    assert counts[tuple(greedy[:3])] == max(counts.values())


def test_what_a_checkpoint_saved_for_chatting_does_not_change_the_policy(loaded, requests) -> None:
    backend = LocalBackend(loaded, 12)
    plain = [reply.text for reply in backend.answers(requests, Decoding(24))]
    saved = loaded.model.generation_config.to_dict()
    loaded.model.generation_config.update(repetition_penalty=5.0, top_k=1, temperature=0.1, do_sample=True)
    try:
        assert [reply.text for reply in backend.answers(requests, Decoding(24))] == plain
    finally:
        loaded.model.generation_config.update(**saved)


def test_a_batch_that_does_not_fit_is_halved_until_it_does(loaded, requests, monkeypatch) -> None:
    sizes = []
    generate = loaded.model.generate

    def small_memory(**options):
        sizes.append(len(options["input_ids"]))
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(**options)

    plain = [reply.text for reply in LocalBackend(loaded, 12).answers(requests, SAMPLED)]
    monkeypatch.setattr(loaded.model, "generate", small_memory)
    backend = LocalBackend(loaded, 12)
    assert [reply.text for reply in backend.answers(requests, SAMPLED)] == plain
    assert sizes == [12, 6, 3, 3, 3, 3]
    sizes.clear()
    backend.answers(requests, SAMPLED)
    assert sizes == [3, 3, 3, 3]


def test_one_answer_that_does_not_fit_is_said(loaded, requests, monkeypatch) -> None:
    def no_memory(**_):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(loaded.model, "generate", no_memory)
    with pytest.raises(UserError, match="not enough memory for a single answer; use a smaller --max_pixels"):
        LocalBackend(loaded, 4).answers(requests[:4], SAMPLED)

    def other_error(**_):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(loaded.model, "generate", other_error)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        LocalBackend(loaded, 4).answers(requests[:4], SAMPLED)


def test_what_vllm_is_asked(loaded) -> None:
    first, second = make_image(1), make_image(2)
    parts = [{"type": "image"}, {"type": "text", "text": "and"}, {"type": "image"}]
    request = Request(Prompt([{"role": "user", "content": parts}], [first, second]), seed=2**61)
    asked = engine_input(loaded.processor, request)
    assert asked["multi_modal_data"] == {"image": [first, second]}
    text = loaded.processor.tokenizer.decode(asked["prompt_token_ids"])
    assert text.count("<image>") == 2
    assert text.endswith("<assistant>")
    assert "multi_modal_data" not in engine_input(
        loaded.processor, Request(Prompt([{"role": "user", "content": "2+2"}], []), 0)
    )
    options = sampling_options(request, Decoding(99, temperature=0.6, top_p=0.9), [3, 4])
    assert options["seed"] == 2**61
    assert (options["max_tokens"], options["temperature"], options["top_p"]) == (99, 0.6, 0.9)
    assert options["logit_bias"] == {3: -100.0, 4: -100.0}
    assert options["repetition_penalty"] == 1.0
    assert sampling_options(request, Decoding(9, top_p=0.5), [])["top_p"] == 1.0


@pytest.mark.parametrize(
    ("heads", "vision", "devices", "wanted"),
    [(28, 16, 8, 4), (40, 16, 8, 8), (28, 16, 1, 1), (28, 16, 0, 1), (28, None, 8, 7), (12, 16, 3, 2)],
)
def test_vllm_takes_as_many_gpus_as_divide_the_heads(heads, vision, devices, wanted) -> None:
    text = SimpleNamespace(num_attention_heads=heads)
    half = None if vision is None else SimpleNamespace(num_heads=vision)
    config = SimpleNamespace(get_text_config=lambda: text, vision_config=half)
    assert shards(config, devices) == wanted


def test_weights_have_a_name_of_their_own(loaded) -> None:
    """The same for the same weights, another after one step of one layer."""
    before = weights_name(loaded.model)
    assert before == weights_name(load_model("embedded", "float32").model)
    parameter = list(loaded.model.parameters())[-1]
    kept = parameter.detach().clone()
    with torch.no_grad():
        parameter.add_(1e-3)
        assert weights_name(loaded.model) != before
        parameter.copy_(kept)
    assert weights_name(loaded.model) == before


@pytest.mark.parametrize(
    ("arguments", "samples", "temperature"),
    [
        ([], 1, 0.0),
        (["--suite", "vppo"], 8, 1.0),
        (["--suite", "vppo", "--temperature", "0.6"], 8, 0.6),
        (["--suite", "vppo", "--temperature", "0"], 1, 0.0),
        (["--suite", "vppo", "--samples", "4"], 4, 1.0),
        (["--suite", "vgpo"], 1, 0.0),
        (["--suite", "vgpo", "--temperature", "1", "--samples", "8"], 8, 1.0),
    ],
)
def test_a_suite_s_decoding_and_the_flags_before_it(arguments, samples, temperature) -> None:
    args = eval_parser().parse_args(["embedded", *arguments])
    plan = plan_of(args, suite(args.suite) if args.suite else None)
    assert (plan.samples, plan.temperature) == (samples, temperature)


def test_a_hub_model_out_of_reach_says_what_to_set_and_how_to_use_a_copy(monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    says = r"cannot load model 'some/model'.*HF_TOKEN.*hf download some/model --local-dir DIR"
    with pytest.raises(UserError, match=says):
        load_model("some/model")


def test_vllm_missing_is_one_clear_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match="pip install vllm, or use --backend hf"):
        VllmBackend("embedded", "auto")


@pytest.mark.parametrize("family", ["gemma4", "cohere2_vision", "qwen3_vl"])
def test_what_vllm_samples_otherwise_is_not_evaluated_with_it(family, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=None))
    tiny_models.build(family)[0].config.save_pretrained(tmp_path)
    says = "no mrope_interleaved" if family == "qwen3_vl" else rf"vLLM samples {family} from .*--backend hf"
    with pytest.raises(UserError, match=says):
        VllmBackend(str(tmp_path), "auto")


def test_a_server_over_such_a_model_is_doubted_in_one_line(monkeypatch, capsys) -> None:
    def guard(family: str) -> PromptGuard:
        model, processor = tiny_models.build(family)
        return PromptGuard(processor, model.config)

    monkeypatch.setattr(PromptGuard, "of", guard)
    monkeypatch.setattr("pathlib.Path.is_dir", lambda _: True)
    monkeypatch.setattr("sightline.evaluation.backends.server.ServerBackend", lambda *_, **__: None)
    said = {}
    for family in ("gemma4", "qwen2_5_vl"):
        asked = eval_parser().parse_args([family, "--backend", "http://localhost:1/v1"])
        backend_of(asked, [])
        said[family] = "".join(capsys.readouterr())
    assert "http://localhost:1/v1 runs vLLM" in said["gemma4"] and "--backend hf" in said["gemma4"]
    assert said["qwen2_5_vl"] == ""


def test_what_a_server_is_asked() -> None:
    shown = [make_image(1), make_image(2).convert("RGBA")]
    parts = [{"type": "text", "text": "Which?"}, {"type": "image"}, {"type": "image"}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    body = chat_request("some/model", Request(Prompt(messages, shown), 2**40 + 7), Decoding(50, 1.0, 0.95))
    assert (body["model"], body["max_tokens"], body["temperature"], body["top_p"]) == (
        "some/model", 50, 1.0, 0.95,
    )  # fmt: skip
    assert body["seed"] == (2**40 + 7) % 2**31
    assert body["messages"][0] == messages[0]
    sent = body["messages"][1]["content"]
    assert [part["type"] for part in sent] == ["text", "image_url", "image_url"]
    for part, image in zip(sent[1:], shown, strict=True):
        head, _, content = part["image_url"]["url"].partition(",")
        assert head == "data:image/png;base64"
        back = Image.open(io.BytesIO(base64.b64decode(content)))
        assert np.array_equal(np.asarray(back), np.asarray(image.convert("RGB")))
    assert "top_p" not in chat_request("m", Request(Prompt(messages, shown), 0), Decoding(5))
