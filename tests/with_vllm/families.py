"""The families of tests/tiny_models.py in folders that transformers and vLLM both load, and a few more.

Heads are 32 wide, as vLLM's attention for CPUs wants them, and processors are whole: vLLM asks for the
video half that `tiny_models` leaves out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import tiny_models
import torch
import transformers as _transformers

hf: Any = _transformers
WIDER = 4
"""How much wider than those of `tiny_models` hidden states and heads are."""

_plain_text: Any = tiny_models._text
_plain_tokenizer: Any = tiny_models._tokenizer


def _wide_text(tokenizer: Any, **changes: Any) -> dict[str, Any]:
    sizes = _plain_text(tokenizer, **changes)
    for name in ("head_dim", "global_head_dim"):
        if name in sizes:
            sizes[name] *= WIDER
    rope = sizes.get("rope_parameters")
    if rope is not None:
        sizes["rope_parameters"] = rope | {"mrope_section": [WIDER * part for part in rope["mrope_section"]]}
    return sizes


_VIDEO = {
    "Qwen2VL": "Qwen2VLVideoProcessor",
    "Qwen2_5_VL": "Qwen2VLVideoProcessor",
    "Qwen3VL": "Qwen3VLVideoProcessor",
    "InternVL": "InternVLVideoProcessor",
    "LlavaOnevision": "LlavaOnevisionVideoProcessor",
    "Gemma4": "Gemma4VideoProcessor",
}


def _interleaved(tokenizer: Any, **changes: Any) -> dict[str, Any]:
    """As the published configs of Qwen3-VL say; transformers does so unasked, vLLM does not."""
    sizes = _wide_text(tokenizer, **changes)
    return sizes | {"rope_parameters": sizes["rope_parameters"] | {"mrope_interleaved": True}}


def _with_newlines(special: Any, **extra: str) -> Any:
    """vLLM's Gemma 3 joins the newlines around its images and looks these tokens up."""
    tokenizer = _plain_tokenizer(special, **extra)
    tokenizer.add_tokens(["\n" * count for count in range(1, 5)])
    return tokenizer


def _whole(name: str) -> Callable[..., Any]:
    """transformers' processor `name` with its other halves, in place of `image_only_class`."""

    def make(images: Any, tokenizer: Any, **options: Any) -> Any:
        parts: dict[str, Any] = {"image_processor": images, "tokenizer": tokenizer}
        video = _VIDEO.get(name.removesuffix("Processor"))
        if video is not None:
            sizes = {k: getattr(images, k) for k in ("patch_size", "merge_size") if hasattr(images, k)}
            parts["video_processor"] = getattr(hf, video)(**sizes)
        if name == "Gemma4Processor":
            parts["feature_extractor"] = hf.Gemma4AudioFeatureExtractor()
        return getattr(hf, name)(**parts, **options)

    return make


def qwen2_vl() -> tuple[Any, Any]:
    tokenizer = tiny_models._tokenizer(tiny_models._QWEN_TOKENS)
    config = hf.Qwen2VLConfig(
        text_config=tiny_models._text(
            tokenizer,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
        ),
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": tiny_models.HIDDEN,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "initializer_range": 0.2,
        },
        tie_word_embeddings=False,
        **tiny_models._qwen_ids(tokenizer),
    )
    return tiny_models._qwen("Qwen2VL", config, tokenizer, 8)


def _pixtral_parts() -> tuple[Any, Any, dict[str, Any]]:
    tokenizer = tiny_models._tokenizer(["[IMG]", "[IMG_BREAK]", "[IMG_END]"])
    images = hf.PixtralImageProcessor(patch_size={"height": 8, "width": 8}, size={"longest_edge": 64})
    vision = {
        "model_type": "pixtral",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "image_size": 64,
        "patch_size": 8,
        "head_dim": 32,
        "initializer_range": 0.2,
    }
    return tokenizer, images, vision


def pixtral() -> tuple[Any, Any]:
    tokenizer, images, vision = _pixtral_parts()
    config = hf.LlavaConfig(
        text_config=tiny_models._text(tokenizer, model_type="mistral", head_dim=8),
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    chat = tiny_models._CHAT.replace("IMAGE", "[IMG]")
    processor = hf.PixtralProcessor(images, tokenizer, patch_size=8, chat_template=chat)
    return hf.LlavaForConditionalGeneration(config), processor


def mistral3() -> tuple[Any, Any]:
    tokenizer, images, vision = _pixtral_parts()
    config = hf.Mistral3Config(
        text_config=tiny_models._text(tokenizer, model_type="mistral", head_dim=8),
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
    )
    images.patch_size = {"height": 16, "width": 16}
    chat = tiny_models._CHAT.replace("IMAGE", "[IMG]")
    processor = hf.PixtralProcessor(images, tokenizer, patch_size=8, spatial_merge_size=2, chat_template=chat)
    return hf.Mistral3ForConditionalGeneration(config), processor


def smolvlm() -> tuple[Any, Any]:
    model, plain = tiny_models.smolvlm()
    images = hf.SmolVLMImageProcessor(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    processor = hf.SmolVLMProcessor(
        images,
        plain.tokenizer,
        hf.SmolVLMVideoProcessor(),
        image_seq_len=4,
        chat_template=plain.chat_template,
    )
    return model, processor


def gemma4() -> tuple[Any, Any]:
    model, processor = tiny_models.gemma4()
    model.config.vision_config.default_output_length = 70  # the published configs say it
    return model, processor


def lfm2_vl() -> tuple[Any, Any]:
    def images() -> Any:
        sizes = {"tile_size": 64, "encoder_patch_size": 8, "downsample_factor": 2}
        return hf.Lfm2VlImageProcessor(
            **sizes, min_image_tokens=4, max_image_tokens=16, do_image_splitting=False
        )

    with patch("lfm2_images.Lfm2ImagesWithoutTorchvision", images):
        model, processor = tiny_models.lfm2_vl()
    model.config.text_config.conv_dim = tiny_models.HIDDEN  # the published configs say it
    return model, processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    **{name: make for name, make in tiny_models.FAMILIES.items() if name != "glm4v_moe"},  # not tried
    "smolvlm": smolvlm,
    "lfm2_vl": lfm2_vl,
    "gemma4": gemma4,
    "qwen2_vl": qwen2_vl,
    "pixtral": pixtral,
    "mistral3": mistral3,
}


def build(name: str, folder: Path) -> None:
    """Write the tiny model of a family and its processor."""
    wide: dict[str, Any] = {
        "HIDDEN": WIDER * tiny_models.HIDDEN,
        "_text": _interleaved if name.startswith("qwen3") else _wide_text,
        "image_only_class": _whole,
        "_tokenizer": _with_newlines if name == "gemma3" else _plain_tokenizer,
    }
    with patch.multiple(tiny_models, **wide), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, processor = FAMILIES[name]()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
