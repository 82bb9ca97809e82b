"""The sizes that recipes state: recomputed, held against transformers' models and torch's memory tracker."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers
from transformers import Qwen2_5_VLConfig, Qwen3VLConfig

FOLDER = Path(__file__).parents[2] / "recipes"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe_sizes", FOLDER / "sizes.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


sizes = script()


def qwen2_5(hidden: int, inner: int, layers: int, heads: int, tower: int, **more: Any) -> Qwen2_5_VLConfig:
    """The architecture as its hub config gives it."""
    key_values, vocabulary = {2048: (2, 151_936), 3584: (4, 152_064), 5120: (8, 152_064)}[hidden]
    text = {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_values,
        "vocab_size": vocabulary,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    }
    vision = {"depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": tower}
    return Qwen2_5_VLConfig(text_config=text, vision_config={**vision, "out_hidden_size": hidden}, **more)


def qwen3_8b() -> Qwen3VLConfig:
    text = {
        "hidden_size": 4096,
        "intermediate_size": 12_288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151_936,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20]},
    }
    vision = {
        "depth": 27,
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_heads": 16,
        "patch_size": 16,
        "out_hidden_size": 4096,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [8, 16, 24],
    }
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False)


CONFIGS = {
    "Qwen/Qwen2.5-VL-3B-Instruct": qwen2_5(2048, 11_008, 36, 16, 3420, tie_word_embeddings=True),
    "Qwen/Qwen2.5-VL-7B-Instruct": qwen2_5(3584, 18_944, 28, 28, 3420, tie_word_embeddings=False),
    "Qwen/Qwen2.5-VL-32B-Instruct": qwen2_5(5120, 27_648, 64, 40, 3456, tie_word_embeddings=False),
    "Qwen/Qwen3-VL-8B-Instruct": qwen3_8b(),
}


def on_paper(config: Any) -> Any:
    """The model without its weights."""
    name = type(config).__name__.removesuffix("Config")
    with torch.device("meta"):
        return getattr(transformers, f"{name}ForConditionalGeneration")(config)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", sizes.ARCHITECTURES)
def test_parameters_are_those_of_transformers_models(name: str) -> None:
    known, model = sizes.ARCHITECTURES[name], on_paper(CONFIGS[name])
    text, vision = CONFIGS[name].text_config, CONFIGS[name].vision_config
    decoder = model.model.language_model
    ends = {id(weight): weight.numel() for weight in (decoder.embed_tokens.weight, model.lm_head.weight)}
    assert known == sizes.Architecture(
        parameters=count(model),
        layer_parameters=count(decoder.layers[0]),
        end_parameters=sum(ends.values()),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        inner=text.intermediate_size,
        key_values=decoder.layers[0].self_attn.k_proj.out_features,
        vision_layers=vision.depth,
        vision_hidden=vision.hidden_size,
        vision_inner=vision.intermediate_size,
        patch=vision.patch_size,
    )


def test_adapters_of_the_small_recipe() -> None:
    from peft import LoraConfig, get_peft_model

    settings, _, plan = sizes.read(FOLDER / "vgpo-3b-lora-24gb.yaml", [])
    wanted = LoraConfig(r=settings.model.lora_r, target_modules=settings.model.lora_target_modules)
    with torch.device("meta"):
        model = get_peft_model(on_paper(CONFIGS[settings.train.model]), wanted)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert plan.adapters == trained


def test_activations_are_those_of_torchs_memory_tracker() -> None:
    """Four decoder layers of 7B, as gradient checkpointing runs them, without a single real tensor."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    name, tokens, layers = "Qwen/Qwen2.5-VL-7B-Instruct", 4096, 4
    config = qwen2_5(3584, 18_944, layers, 28, 3420, tie_word_embeddings=False)
    with FakeTensorMode():
        torch.set_default_dtype(torch.bfloat16)
        try:
            decoder = transformers.Qwen2_5_VLForConditionalGeneration(config).model.language_model.train()
        finally:
            torch.set_default_dtype(torch.float32)
        decoder.gradient_checkpointing_enable()
        for parameter in decoder.parameters():
            parameter.grad = torch.zeros_like(parameter)
        inputs = torch.zeros(1, tokens, 3584, dtype=torch.bfloat16, requires_grad=True)
        tracker = MemTracker()
        tracker.track_external(decoder, inputs)
        with tracker:
            where = torch.arange(tokens).expand(3, 1, tokens)
            states = decoder(inputs_embeds=inputs, position_ids=where).last_hidden_state
            states.sum().backward()
        (peak,) = tracker.get_tracker_snapshot("peak").values()
    measured = sum(size for kind, size in peak.items() if str(kind).rsplit(".")[-1] in ("ACT", "TEMP", "OTH"))
    known = replace(sizes.ARCHITECTURES[name], layers=layers, vision_layers=0)
    plan = sizes.Plan(1, 80, 1, 8, tokens, 0, max_pixels=1, mean_pixels=1)
    assert sizes.memory(known, plan).activations - sizes.HEAD_TILE == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize("recipe", sizes.recipes(), ids=lambda recipe: recipe.stem)
def test_a_recipe_states_its_sizes_and_fits_on_its_cards(recipe: Path) -> None:
    stated = sizes.WANTS.search(recipe.read_text())
    assert stated[4] == sizes.wants(recipe), "run `python recipes/sizes.py --write`"
    _, model, plan = sizes.read(recipe, [])
    found = sizes.memory(model, plan)
    assert max(found.training, found.sampling) < 0.97 * plan.card * sizes.GIB
    assert found.sequences >= 16


def test_the_table_of_the_docs() -> None:
    text = sizes.TABLE.read_text()
    inside = text.partition(sizes.MARKS[0])[2].partition(sizes.MARKS[1])[0]
    assert inside.strip() == sizes.table(), "run `python recipes/sizes.py --write`"


def test_every_recipe_but_the_demo_says_what_it_wants() -> None:
    named = {path.stem for path in FOLDER.glob("*.yaml")} - {"demo", "demo-verl", "published"}
    assert {path.stem for path in sizes.recipes()} == named


def test_what_a_plan_costs_follows_its_sizes() -> None:
    model = sizes.ARCHITECTURES["Qwen/Qwen2.5-VL-7B-Instruct"]
    plan = sizes.Plan(8, 80, 4, 512, 4096, 2048, max_pixels=4_194_304, mean_pixels=500_000, sampler=0.5)
    full = sizes.memory(model, plan)
    assert full.weights + full.gradients + full.optimizer == pytest.approx(16 * model.parameters / 8)
    doubled = sizes.memory(model, replace(plan, gpus=16))
    assert doubled.weights == full.weights / 2
    assert doubled.activations == full.activations
    fewer_rows = sizes.memory(model, replace(plan, rows=2))
    assert fewer_rows.activations - sizes.HEAD_TILE == pytest.approx((full.activations - sizes.HEAD_TILE) / 2)
    awake = sizes.memory(model, replace(plan, sleeps=False))
    assert awake.training == full.training + full.sampler
    assert awake.sampling == full.sampling
    adapters = sizes.memory(model, replace(plan, gpus=1, adapters=10**8))
    assert adapters.weights == 4e8 + 2 * model.parameters
    assert adapters.optimizer == 8e8
    # An image may have no more tokens than the prompt: 4,194,304 pixels would be 5,350 of 28 x 28.
    larger = sizes.memory(model, replace(plan, max_pixels=2 * plan.max_pixels))
    assert larger.activations == full.activations


def test_half_the_gpus_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = str(FOLDER / "vgpo-7b.yaml")
    sizes.main([recipe])
    before = capsys.readouterr().out
    sizes.main([recipe, "--gpus", "4", "--card", "141"])
    after = capsys.readouterr().out
    number = re.compile(r"^weights +([\d.]+) GiB$", re.MULTILINE)
    assert float(number.search(after)[1]) == pytest.approx(2 * float(number.search(before)[1]), abs=0.11)
