"""What differs between families, and processors that do without torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import FAMILIES, build, make_image, prompts, rollouts

from sightline.methods import Needs
from sightline.models.draw_views import resized
from sightline.models.families import (
    drops_image_tokens,
    end_ids,
    image_token_id,
    placeholder_ids,
    process_images,
    process_prompts,
)
from sightline.models.generation import prompt_inputs as prompts_module
from sightline.models.processors import load_processor
from sightline.models.scoring.score import score
from sightline.views import TextOnly


@pytest.mark.parametrize("family", FAMILIES)
def test_placeholders_hold_the_image_token_and_no_end(family: str) -> None:
    config = build(family)[0].config
    assert image_token_id(config) in placeholder_ids(config)
    assert not set(placeholder_ids(config)) & set(end_ids(config))


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "lfm2_vl"])  # its images are ours
def test_a_saved_processor_loads_without_torchvision_and_makes_the_same(family: str, tmp_path: Path) -> None:
    model, processor = build(family)
    processor.save_pretrained(tmp_path)
    loaded = load_processor(tmp_path)
    assert type(loaded).__name__ == type(processor).__name__
    assert torch.equal(
        rollouts(model, loaded, prompts()).prompt_ids, rollouts(model, processor, prompts()).prompt_ids
    )
    images = [list(one.images) for one in prompts()]
    (found, _), (wanted, _) = process_prompts(loaded, images), process_prompts(processor, images)
    assert found.keys() == wanted.keys()
    torch.testing.assert_close(found["pixel_values"], wanted["pixel_values"])


@pytest.mark.parametrize("family", FAMILIES)
def test_images_alone_are_processed_as_in_their_prompt(family: str) -> None:
    """Tiles and features must be as many as training will see."""
    model, processor = build(family)
    found, ids = process_prompts(processor, [list(one.images) for one in prompts()])
    token = image_token_id(model.config)
    batch = rollouts(model, processor, prompts(), group=1)
    assert (ids == token).sum(1).tolist() == (batch.prompt_ids == token).sum(1).tolist()
    text = [
        processor.apply_chat_template(list(one.messages), add_generation_prompt=True, tokenize=False)
        for one in prompts()
    ]
    whole = processor(
        text=text, images=[list(one.images) for one in prompts()], padding=True, return_tensors="pt"
    )
    torch.testing.assert_close(found["pixel_values"], whole["pixel_values"])
    assert process_images(processor, []) == {}


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "internvl", "idefics3", "llava"])
def test_dropped_image_tokens_equal_hidden_ones(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = build(family)
    assert drops_image_tokens(model)
    batch = rollouts(model, processor, prompts(), group=2)
    needs = Needs(frozenset(["exact_kl"]), TextOnly(), second_view_gradient=False)
    shorter = score(model, processor, batch, needs, seed=0, step=0)
    monkeypatch.setattr(prompts_module, "drops_image_tokens", lambda _: False)
    masked = score(model, processor, batch, needs, seed=0, step=0)
    torch.testing.assert_close(shorter.other_log_probs, masked.other_log_probs, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(shorter.signals["exact_kl"], masked.signals["exact_kl"], atol=1e-5, rtol=1e-3)
    assert shorter.signals["exact_kl"].max() > 1e-2


def test_a_window_that_counts_tokens_keeps_hidden_ones() -> None:
    assert not drops_image_tokens(build("gemma3")[0])


SIZES: dict[str, tuple[int, int] | None] = {
    "qwen2_5_vl": (48, 48),
    "qwen3_vl": (48, 48),
    "gemma3": (32, 32),
    "internvl": (32, 32),
    "llava_onevision": None,
    "idefics3": None,
}
"""What an image of 45 x 50 pixels is fed as; None where it is cut into tiles."""


@pytest.mark.parametrize("family", SIZES)
def test_images_are_resized_as_the_model_will_see_them(family: str) -> None:
    processor: Any = build(family)[1]
    shown = resized(make_image(45, 50, 0), processor)
    assert shown.size == (SIZES[family] or (45, 50))
    before = process_prompts(processor, [[make_image(45, 50, 0)]])[1]
    assert process_prompts(processor, [[shown]])[1].shape == before.shape
