"""Names of weights as vLLM knows them: CLIP's and SigLIP's below `vision_model`, in memory and on disk."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny_models
import torch
from safetensors.torch import load_file, save_file

from sightline.models.loading import load_model
from sightline.models.vllm_weight_names import folder_for_vllm, name_in_vllm, names_for_vllm

SIGLIP: Any = SimpleNamespace(vision_config=SimpleNamespace(model_type="siglip_vision_model"))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "model.vision_tower.embeddings.patch_embedding.weight",
            "model.vision_tower.vision_model.embeddings.patch_embedding.weight",
        ),
        ("vision_tower.post_layernorm.bias", "vision_tower.vision_model.post_layernorm.bias"),
        ("vision_tower.vision_model.post_layernorm.bias", "vision_tower.vision_model.post_layernorm.bias"),
        (
            "model.language_model.layers.0.mlp.up_proj.weight",
            "model.language_model.layers.0.mlp.up_proj.weight",
        ),
        ("lm_head.weight", "lm_head.weight"),
    ],
)
def test_names_of_a_siglip_tower(name: str, wanted: str) -> None:
    assert name_in_vllm(name, SIGLIP) == wanted


@pytest.mark.parametrize("family", ["qwen2_5_vl", "internvl", "idefics3", "gemma4"])
def test_other_families_keep_their_names(family: str) -> None:
    model, _ = tiny_models.build(family)
    assert all(name_in_vllm(name, model.config) == name for name in model.state_dict())
    assert names_for_vllm(model, None) is None


@pytest.mark.parametrize("family", ["llava", "llava_onevision", "gemma3"])
def test_a_saved_folder_has_names_for_vllm_and_loads_again(family: str, tmp_path: Path) -> None:
    model, processor = tiny_models.build(family)
    model.save_pretrained(tmp_path, state_dict=names_for_vllm(model, None))
    processor.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    towers = [name for name in saved if name.startswith("vision_tower.")]
    assert towers and all(name.startswith("vision_tower.vision_model.") for name in towers)
    again = load_model(str(tmp_path)).model.state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in model.state_dict().items())


def test_a_folder_with_other_names_is_copied_for_vllm_and_left_as_it_is(tmp_path: Path) -> None:
    old, new = "vision_tower.embeddings.weight", "vision_tower.vision_model.embeddings.weight"
    weight = torch.arange(3.0)
    save_file({old: weight, "lm_head.weight": weight + 1}, tmp_path / "model-1.safetensors")
    index = {
        "metadata": {},
        "weight_map": {old: "model-1.safetensors", "lm_head.weight": "model-1.safetensors"},
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "config.json").write_text("{}")
    with folder_for_vllm(str(tmp_path), SIGLIP) as path:
        copy = Path(path)
        assert copy != tmp_path and (copy / "config.json").read_text() == "{}"
        found = load_file(copy / "model-1.safetensors")
        assert found.keys() == {new, "lm_head.weight"} and torch.equal(found[new], weight)
        named = json.loads((copy / "model.safetensors.index.json").read_text())["weight_map"]
        assert named.keys() == found.keys()
    assert not copy.exists() and load_file(tmp_path / "model-1.safetensors").keys() == {old, "lm_head.weight"}
    with folder_for_vllm(str(tmp_path), SimpleNamespace()) as path:
        assert path == str(tmp_path)
    with folder_for_vllm("some/hub-id", SIGLIP) as path:
        assert path == "some/hub-id"
