"""A Qwen2.5-VL of chosen size with random weights, and prompts of chosen length for it."""

from __future__ import annotations

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


def model(vocabulary: int = 8000, hidden: int = 384, layers: int = 8, heads: int = 6) -> Any:
    """About 20 million parameters at the default size, float32, in evaluation mode."""
    torch.manual_seed(0)
    head = hidden // heads
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": hidden,
            "intermediate_size": 8 * hidden // 3,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": heads // 3,
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
            "depth": 4,
            "hidden_size": 160,
            "intermediate_size": 432,
            "num_heads": 5,
            "out_hidden_size": hidden,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "window_size": 8 * PATCH,
            "fullatt_block_indexes": [3],
        },
        vision_start_token_id=2,
        vision_end_token_id=3,
        image_token_id=4,
        video_token_id=5,
        tie_word_embeddings=False,
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()


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
    pictures = Qwen2VLImageProcessorPil(
        patch_size=PATCH, merge_size=MERGE, min_pixels=(PATCH * MERGE) ** 2, max_pixels=2**24
    )
    return image_only_class("Qwen2_5_VLProcessor")(pictures, tokenizer)


def rollouts(
    vocabulary: int, grid: tuple[int, int], prompt: int, response: int, group: int, prompts: int = 1
) -> Rollouts:
    """`prompts` x `group` random rollouts; each prompt shows one picture of `grid` image tokens."""
    random = torch.Generator().manual_seed(0)
    height, width = grid
    text = prompt - height * width - 2
    ids = torch.randint(6, vocabulary, (prompts, text), generator=random)
    picture = torch.tensor([[2] + [4] * (height * width) + [3]]).expand(prompts, -1)
    full = torch.cat([ids[:, :20], picture, ids[:, 20:]], 1)
    side = PATCH * MERGE
    shape = (prompts, height * side, width * side, 3)
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    shown = [[Image.fromarray(one)] for one in pixels]
    count = prompts * group
    return Rollouts(
        prompt_ids=full.repeat_interleave(group, 0),
        prompt_mask=torch.ones(count, prompt, dtype=torch.long),
        response_ids=torch.randint(6, vocabulary, (count, response), generator=random),
        mask=torch.ones(count, response, dtype=torch.long),
        group_ids=torch.arange(prompts).repeat_interleave(group),
        images=[images for images in shown for _ in range(group)],
    )
