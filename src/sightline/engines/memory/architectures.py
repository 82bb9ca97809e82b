"""What of a vision-language model decides its memory: from a table, or from its config without weights."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ...errors import UserError


@dataclass(frozen=True)
class Architecture:
    """What of a vision-language model decides its memory. Counts are parameters, the rest widths."""

    parameters: int
    layer_parameters: int
    """One decoder layer."""
    end_parameters: int
    """Embeddings and head; once if they are tied."""
    layers: int
    hidden: int
    inner: int
    """Width of the MLP."""
    key_values: int
    """Key-value heads × their width."""
    vision_layers: int
    vision_hidden: int
    vision_inner: int
    patch: int
    """Side of a patch in pixels; 2 × 2 patches make one token."""
    vocabulary: int


ARCHITECTURES = {
    "Qwen/Qwen2.5-VL-3B-Instruct": Architecture(
        3_754_622_976, 77_076_992, 311_164_928, 36, 2048, 11_008, 256, 32, 1280, 3420, 14, 151_936
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": Architecture(
        8_292_166_656, 233_057_792, 1_089_994_752, 28, 3584, 18_944, 512, 32, 1280, 3420, 14, 152_064
    ),
    "Qwen/Qwen2.5-VL-32B-Instruct": Architecture(
        33_452_718_336, 487_605_248, 1_557_135_360, 64, 5120, 27_648, 1024, 32, 1280, 3456, 14, 152_064
    ),
    "Qwen/Qwen3-VL-8B-Instruct": Architecture(
        8_767_123_696, 192_946_432, 1_244_659_712, 36, 4096, 12_288, 1024, 27, 1152, 4304, 16, 151_936
    ),
}


def architecture(name: str) -> Architecture:
    """The sizes of a model: of the table, or counted on its config, without a weight being read.

    Raises:
        UserError: nothing is found under that name, or its config does not say what is needed.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    from ...models.loading import resolve, unloadable

    path = resolve(name)
    try:
        config: Any = AutoConfig.from_pretrained(path)
        with torch.device("meta"):
            model: Any = AutoModelForImageTextToText.from_config(config)
    except (OSError, ValueError, KeyError) as error:
        raise unloadable(name, error) from error
    try:
        return _counted(model, config.get_text_config(), config.vision_config)
    except AttributeError as error:
        raise UserError(f"the config of {name} does not say its sizes: {error}") from error


def _counted(model: Any, text: Any, vision: Any) -> Architecture:
    decoder = model.get_decoder()
    ends = {id(one): one.numel() for one in (model.get_input_embeddings().weight, model.lm_head.weight)}
    return Architecture(
        parameters=_count(model),
        layer_parameters=_count(decoder.layers[0]),
        end_parameters=sum(ends.values()),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        inner=text.intermediate_size,
        key_values=decoder.layers[0].self_attn.k_proj.out_features,
        vision_layers=vision.depth if hasattr(vision, "depth") else vision.num_hidden_layers,
        vision_hidden=vision.hidden_size,
        vision_inner=vision.intermediate_size,
        patch=vision.patch_size,
        vocabulary=text.vocab_size,
    )


def _count(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def adapter_parameters(model: Architecture, rank: int, targets: Collection[str], vision: bool) -> int:
    """LoRA's parameters on the projections named `targets`, as the Qwen families name them.

    `vision` counts the tower's MLP, whose projections carry the decoder's names in Qwen2.5-VL.
    """
    wide, narrow, inner = model.hidden, model.key_values, model.inner
    attention = {
        "q_proj": (wide, wide),
        "k_proj": (wide, narrow),
        "v_proj": (wide, narrow),
        "o_proj": (wide, wide),
    }
    mlp = {"gate_proj": (wide, inner), "up_proj": (wide, inner), "down_proj": (inner, wide)}
    text = sum(sum(ends) for name, ends in {**attention, **mlp}.items() if name in targets)
    tower = sum(model.vision_hidden + model.vision_inner for name in mlp if name in targets)
    return rank * (model.layers * text + (model.vision_layers * tower if vision else 0))
