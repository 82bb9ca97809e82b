"""Damaged or incomplete model folders: one line, never a traceback, never made-up weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_models import build

from sightline.errors import UserError
from sightline.models.loading import load_model, resolve

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(resolve("embedded"), tmp_path / "model"))


def truncate(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def noise(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(bytes(range(1, 256)) * 20)


def empty(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"")


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def one_tensor_less(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    state.pop("model.language_model.layers.0.mlp.gate_proj.weight")
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})


def another_width(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] = 64
    (folder / "config.json").write_text(json.dumps(config))


def text_for_number(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] = "wide"
    (folder / "config.json").write_text(json.dumps(config))


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def cut_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


def no_image_processor(folder: Path) -> None:
    for path in folder.glob("*processor*"):
        path.unlink()


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (truncate, "cannot load the weights"),
        (noise, "cannot load the weights"),
        (empty, "cannot load the weights"),
        (pickled, "no file named model.safetensors"),
        (
            one_tensor_less,
            "lack 1 of the model's tensors, such as model.language_model.layers.0.mlp.gate_proj",
        ),
        (another_width, r"do not fit its config.json: .* is \[230, 96\], expected \[230, 64\]"),
        (text_for_number, "expected int"),
        (no_tokenizer, "cannot load the processor"),
        (cut_tokenizer, "cannot load the processor"),
        (no_image_processor, "cannot load the processor"),
        (no_template, "has no chat template"),
    ],
)
def test_a_damaged_folder_is_one_clear_line(folder: Path, damage: Callable[[Path], None], says: str) -> None:
    damage(folder)
    with pytest.raises(UserError, match=says) as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)


def test_a_tied_head_stays_tied_and_padding_is_on_the_left(tmp_path: Path) -> None:
    model, processor = build("qwen3_vl")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    processor.tokenizer.padding_side = "right"
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as saved:
        assert not [name for name in saved.keys() if "lm_head" in name]  # noqa: SIM118 (no mapping)
    loaded = load_model(str(tmp_path), torch.float32)
    assert loaded.processor.tokenizer.padding_side == "left"
    head, embedding = loaded.model.get_output_embeddings(), loaded.model.get_input_embeddings()
    assert head is not None
    assert head.weight is embedding.weight
    assert bool((embedding.weight == model.get_input_embeddings().weight).all())
