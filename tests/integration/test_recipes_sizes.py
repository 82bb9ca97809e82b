"""The sizes that recipes state: recomputed, held against transformers' models and torch's memory tracker."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers
from transformers import Qwen2_5_VLConfig, Qwen3VLConfig

from sightline.cli import main
from sightline.cli.plan import WANTS
from sightline.engines.memory import ARCHITECTURES, GIB, Architecture, Layout, architecture, memory
from sightline.engines.memory.formulas import HEAD_TILE
from sightline.engines.memory.run_plan import ON_A_CPU
from sightline.engines.trl.settings.resolve import parse

FOLDER = Path(__file__).parents[2] / "recipes"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe_sizes", FOLDER / "write_sizes.py")
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


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_are_those_of_transformers_models(name: str) -> None:
    known, model = ARCHITECTURES[name], on_paper(CONFIGS[name])
    text, vision = CONFIGS[name].text_config, CONFIGS[name].vision_config
    decoder = model.model.language_model
    ends = {id(weight): weight.numel() for weight in (decoder.embed_tokens.weight, model.lm_head.weight)}
    assert known == Architecture(
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
        vocabulary=text.vocab_size,
    )


def test_adapters_of_the_small_recipe() -> None:
    from peft import LoraConfig, get_peft_model

    recipe = FOLDER / "vgpo-3b-lora-24gb.yaml"
    settings = parse(["--config", str(recipe), *ON_A_CPU, "--use_vllm", "false"])
    _, plan = sizes.read(recipe)
    wanted = LoraConfig(r=settings.model.lora_r, target_modules=settings.model.lora_target_modules)
    with torch.device("meta"):
        model = get_peft_model(on_paper(CONFIGS[str(settings.train.model)]), wanted)
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
    known = replace(ARCHITECTURES[name], layers=layers, vision_layers=0)
    plan = Layout(1, 80, 1, 8, tokens, 0, max_pixels=1, mean_pixels=1)
    assert memory(known, plan).activations - HEAD_TILE == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize("recipe", sizes.recipes(), ids=lambda recipe: recipe.stem)
def test_a_recipe_states_its_sizes_and_fits_on_its_cards(recipe: Path) -> None:
    stated = WANTS.search(recipe.read_text())
    assert stated is not None
    assert stated[4] == sizes.wants(recipe), "run `python recipes/write_sizes.py --write`"
    model, plan = sizes.read(recipe)
    found = memory(model, plan)
    assert max(found.training, found.sampling) < 0.97 * plan.card * GIB
    assert found.sequences >= 16


def test_the_table_of_the_docs() -> None:
    text = sizes.TABLE.read_text()
    inside = text.partition(sizes.MARKS[0])[2].partition(sizes.MARKS[1])[0]
    assert inside.strip() == sizes.table(), "run `python recipes/write_sizes.py --write`"


def test_every_recipe_but_the_demo_says_what_it_wants() -> None:
    named = {path.stem for path in FOLDER.glob("*.yaml")} - {"demo", "demo-verl", "published"}
    assert {path.stem for path in sizes.recipes()} == named


def test_what_a_plan_costs_follows_its_sizes() -> None:
    model = ARCHITECTURES["Qwen/Qwen2.5-VL-7B-Instruct"]
    plan = Layout(8, 80, 4, 512, 4096, 2048, max_pixels=4_194_304, mean_pixels=500_000, sampler=0.5)
    full = memory(model, plan)
    assert full.weights + full.gradients + full.optimizer == pytest.approx(16 * model.parameters / 8)
    doubled = memory(model, replace(plan, gpus=16))
    assert doubled.weights == full.weights / 2
    assert doubled.activations == full.activations
    fewer_rows = memory(model, replace(plan, rows=2))
    assert fewer_rows.activations - HEAD_TILE == pytest.approx((full.activations - HEAD_TILE) / 2)
    awake = memory(model, replace(plan, sleeps=False))
    assert awake.training == full.training + full.sampler
    assert awake.sampling == full.sampling
    adapters = memory(model, replace(plan, gpus=1, adapters=10**8))
    assert adapters.weights == 4e8 + 2 * model.parameters
    assert adapters.optimizer == 8e8
    # An image may have no more tokens than the prompt: 4,194,304 pixels would be 5,350 of 28 x 28.
    larger = memory(model, replace(plan, max_pixels=2 * plan.max_pixels))
    assert larger.activations == full.activations


def planned(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What `sightline plan --json` says."""
    code = main(["plan", "--json", *words])
    found = json.loads(capsys.readouterr().out)
    assert code == (0 if found["fits"] else 1)
    return found


def test_a_plan_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = ["--config", str(FOLDER / "vgpo-7b.yaml")]
    before = planned(capsys, *recipe)
    assert (before["gpus"], before["card"], before["fits"]) == (8, 80, True)
    assert before["rollouts"] == 4096
    assert before["updates"] == 4
    halved = planned(capsys, *recipe, "--gpus", "4", "--card", "141")
    assert halved["gib"]["weights"] == pytest.approx(2 * before["gib"]["weights"], abs=0.011)
    assert halved["rollouts"] == 2048
    assert halved["fits"]
    alone = planned(capsys, *recipe, "--gpus", "1")
    assert not alone["fits"]
    assert alone["gib"]["optimizer"] == pytest.approx(8 * 8_292_166_656 / GIB, abs=0.01)
    assert planned(capsys, *recipe, "--use_vllm", "false")["gib"]["sampler"] == 0


def test_a_plan_for_the_other_engine(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = ["--config", str(FOLDER / "verl" / "vgpo-7b.yaml")]
    found, other = planned(capsys, *recipe), planned(capsys, "--config", str(FOLDER / "vgpo-7b.yaml"))
    batches = ("gpus", "rollouts", "group", "rows", "micro_batches", "updates", "max_steps")
    assert [found[name] for name in batches] == [other[name] for name in batches], "the same run"
    logits = 4 * 4 * (4096 + 2048) * 152_064 / GIB
    assert found["gib"]["activations"] == pytest.approx(other["gib"]["activations"] - 1 + logits, abs=0.02)
    assert planned(capsys, *recipe, "--gpus", "16", "--generation_batch_size", "8192")["gpus"] == 16


def test_what_a_plan_says_and_asks_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--config", str(FOLDER / "vgpo-7b.yaml")]) == 0
    said = capsys.readouterr().out
    assert "512 prompts x 8 = 4,096 rollouts a batch = 8 GPUs x 4 rows x 128 micro-batches" in said
    assert "max_steps 600 = 150 rollout batches = 76,800 prompts" in said
    assert "fits: 48 GiB in training, 60 in sampling" in said
    assert main(["plan", "--config", str(FOLDER / "vgpo-7b.yaml"), "--gpus", "1"]) == 1
    assert "does not fit" in capsys.readouterr().out
    assert main(["plan", "--model", "embedded"]) == 2
    assert "max_prompt_length and max_pixels must be set" in capsys.readouterr().err
    assert main(["plan", "--config", str(FOLDER / "vgpo-7b.yaml"), "--max_step", "3"]) == 2
    assert "max_steps" in capsys.readouterr().err


def test_a_model_that_is_in_no_table_is_counted_on_its_config() -> None:
    from sightline.models.loading import load_model

    found, loaded = architecture("embedded"), load_model("embedded")
    assert found.parameters == count(loaded.model)
    assert found.vocabulary == loaded.model.get_input_embeddings().num_embeddings


def test_the_readmes_real_model_fits_on_one_card(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """And takes what the line beside it says."""
    text = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    example = tmp_path / "vgpo-24gb.yaml"
    example.write_text(text.partition("```yaml\n")[2].partition("```")[0])
    assert main(["plan", "--config", str(example), "--card", "24"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.partition(",")[0] + "," + said.split(",")[1] in text
