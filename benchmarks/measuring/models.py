"""A Qwen2.5-VL of chosen size with random weights, and prompts of chosen length for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from sightline.models.processors import image_only_class
from sightline.rollouts import Rollouts

SPECIAL = ["<pad>", "<eos>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
PATCH, MERGE = 14, 2


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen2.5-VL."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    tied: bool
    vision: dict[str, int]


_TOWER = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
SHAPES = {
    "20m": Shape(8000, 384, 8, 6, 2, 1024, False,
                 {"depth": 4, "hidden_size": 160, "intermediate_size": 432, "num_heads": 5}),
    "3b": Shape(151_936, 2048, 36, 16, 2, 11_008, True, _TOWER),
    "7b": Shape(152_064, 3584, 28, 28, 4, 18_944, False, _TOWER),
}  # fmt: skip
"""About 20 million parameters, and the two that papers train."""


def model(shape: Shape, device: str = "cpu", dtype: str = "float32") -> Any:
    """A model of these sizes in evaluation mode."""
    torch.manual_seed(0)
    head = shape.hidden // shape.heads
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": shape.vocabulary,
            "hidden_size": shape.hidden,
            "intermediate_size": shape.mlp,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "max_position_embeddings": 32768,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [head // 8, 3 * head // 16, 3 * head // 16],
            },
            "eos_token_id": 1,
            "pad_token_id": 0,
            "bos_token_id": None,
        },
        vision_config={
            **shape.vision,
            "out_hidden_size": shape.hidden,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "window_size": 8 * PATCH,
            "fullatt_block_indexes": list(range(7, 32, 8)) if shape.vision is _TOWER else [3],
        },
        vision_start_token_id=2,
        vision_end_token_id=3,
        image_token_id=4,
        video_token_id=5,
        tie_word_embeddings=shape.tied,
    )
    with torch.device(device):
        made: Any = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=getattr(torch, dtype))
    return made.eval()


def processor() -> Any:
    """Qwen2.5-VL's, with a vocabulary of its special tokens alone."""
    known = {token: number for number, token in enumerate(SPECIAL)}
    words = Tokenizer(models.WordLevel(known, unk_token="<pad>"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        eos_token="<eos>",
        additional_special_tokens=SPECIAL[2:],
        padding_side="left",
    )
    images = Qwen2VLImageProcessorPil(
        patch_size=PATCH, merge_size=MERGE, min_pixels=(PATCH * MERGE) ** 2, max_pixels=2**24
    )
    return image_only_class("Qwen2_5_VLProcessor")(images, tokenizer)


def rollouts(
    shape: Shape, grid: tuple[int, int], prompt: int, response: int, group: int, device: str = "cpu"
) -> Rollouts:
    """`group` random rollouts of a prompt that shows one image of `grid` image tokens."""
    random = torch.Generator().manual_seed(0)
    height, width = grid
    text = prompt - height * width - 2
    ids = torch.randint(6, shape.vocabulary, (1, text), generator=random)
    image = torch.tensor([[2] + [4] * (height * width) + [3]])
    full = torch.cat([ids[:, :20], image, ids[:, 20:]], 1)
    side = PATCH * MERGE
    pixels = np.random.default_rng(0).integers(0, 255, (height * side, width * side, 3), dtype=np.uint8)
    shown = [Image.fromarray(pixels)]
    tensors = {
        "prompt_ids": full.repeat_interleave(group, 0),
        "prompt_mask": torch.ones(group, prompt, dtype=torch.long),
        "response_ids": torch.randint(6, shape.vocabulary, (group, response), generator=random),
        "mask": torch.ones(group, response, dtype=torch.long),
        "group_ids": torch.zeros(group, dtype=torch.long),
    }
    return Rollouts(**{name: value.to(device) for name, value in tensors.items()}, images=[shown] * group)
