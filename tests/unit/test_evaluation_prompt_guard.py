"""Image tokens of a sampler beside the processor's: an equal number, or a refusal by the family's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from sightline.errors import UserError
from sightline.evaluation.backends import Request
from sightline.evaluation.backends.prompt_guard import PromptGuard
from sightline.evaluation.backends.server import ServerBackend
from sightline.models.families import image_token_id
from sightline.models.generation.generate import Decoding, Prompt


@pytest.fixture(scope="module")
def family() -> tuple[Any, Any]:
    return tiny_models.build("llava_onevision")


def expanded(processor: Any, prompt: Prompt) -> list[int]:
    text = processor.apply_chat_template(list(prompt.messages), add_generation_prompt=True, tokenize=False)
    shown = [list(prompt.images)] if prompt.images else None
    return list(processor(text=[text], images=shown, add_special_tokens=False)["input_ids"][0])


def test_the_processors_own_prompts_pass(family: tuple[Any, Any]) -> None:
    model, processor = family
    guard = PromptGuard(processor, model.config)
    for prompt in tiny_models.prompts():
        guard.check_tokens(prompt, expanded(processor, prompt))
        guard.check_images(prompt, expanded(processor, prompt))


def test_more_image_tokens_are_refused_also_when_the_sizes_were_seen(family: tuple[Any, Any]) -> None:
    model, processor = family
    guard, (prompt, *_) = PromptGuard(processor, model.config), tiny_models.prompts()
    ids = expanded(processor, prompt)
    place = ids.index(image_token_id(model.config))
    tiled = ids[:place] + [ids[place]] * 5 + ids[place:]
    for check in (guard.check_tokens, guard.check_images):
        with pytest.raises(UserError, match=r"images of a llava_onevision prompt otherwise .*--backend hf"):
            check(prompt, tiled)
    guard.check_tokens(prompt, ids)
    with pytest.raises(UserError, match="images of a llava_onevision prompt otherwise"):
        guard.check_tokens(prompt, tiled)


def test_the_text_around_the_images_is_compared_where_it_is_the_processors(family: tuple[Any, Any]) -> None:
    model, processor = family
    guard, (prompt, *_) = PromptGuard(processor, model.config), tiny_models.prompts()
    ids = [*expanded(processor, prompt), 3]
    guard.check_images(prompt, ids)
    guard = PromptGuard(processor, model.config)
    with pytest.raises(UserError, match="different from place"):
        guard.check_tokens(prompt, ids)


def test_a_server_that_tells_its_ids_is_held_to_them(
    family: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM is asked for its ids and held to them; other servers are not asked, and pass."""
    model, processor = family
    (prompt, *_) = tiny_models.prompts()
    sent: list[dict[str, Any]] = []
    tells: dict[str, Any] = {"owner": "vllm", "ids": expanded(processor, prompt)}

    def fetch(self: Any, path: str, body: bytes | None = None, seconds: float | None = None) -> Any:
        if path == "/models":
            return {"data": [{"id": "m", "owned_by": tells["owner"]}]}
        sent.append(json.loads(body or b"{}"))
        choice = {"message": {"content": "4"}, "finish_reason": "stop"}
        return {"choices": [choice], "prompt_token_ids": tells["ids"]}

    monkeypatch.setattr(ServerBackend, "_fetch", fetch)

    def asked() -> Any:
        guard = PromptGuard(processor, model.config)
        backend = ServerBackend("http://localhost:1/v1", "m", concurrency=1, guard=guard)
        return backend.answers([Request(prompt, 0)], Decoding(4))[0].text

    assert asked() == "4" and sent[-1]["return_token_ids"] is True
    tells["ids"] = tells["ids"][:-1] + [image_token_id(model.config)] * 3
    with pytest.raises(UserError, match="images of a llava_onevision prompt otherwise"):
        asked()
    tells |= {"owner": "me", "ids": None}
    assert asked() == "4" and "return_token_ids" not in sent[-1]


def test_a_folder_without_a_model_has_no_guard(tmp_path: Path) -> None:
    assert PromptGuard.of(str(tmp_path)) is None
