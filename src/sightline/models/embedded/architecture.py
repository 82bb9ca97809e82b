"""The embedded model's architecture: transformers' own Qwen3-VL with a million parameters."""

from __future__ import annotations

import torch
from transformers import GenerationConfig, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from ...tasks.shapes.canvas import SIDE
from .processor import (
    EOS,
    IMAGE,
    MAX_PROMPT_AND_RESPONSE,
    MERGE,
    NEVER_SAMPLED,
    PAD,
    PATCH,
    SPECIAL_IDS,
    TEMPORAL_PATCH,
    VIDEO,
    VISION_END,
    VISION_START,
)

HIDDEN = 96
HEADS = 6


def config(tokens: int) -> Qwen3VLConfig:
    """Three text layers and two vision layers of width 96, embeddings of `tokens` tokens tied."""
    text = {
        "vocab_size": tokens,
        "hidden_size": HIDDEN,
        "intermediate_size": 3 * HIDDEN,
        "num_hidden_layers": 3,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "head_dim": HIDDEN // HEADS,
        "max_position_embeddings": MAX_PROMPT_AND_RESPONSE,
        "initializer_range": 0.04,
        "tie_word_embeddings": True,
        "pad_token_id": SPECIAL_IDS[PAD],
        "eos_token_id": SPECIAL_IDS[EOS],
        "bos_token_id": None,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [4, 2, 2],
            "mrope_interleaved": True,
        },
    }
    vision = {
        "depth": 2,
        "hidden_size": HIDDEN,
        "intermediate_size": 3 * HIDDEN,
        "num_heads": HEADS,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": TEMPORAL_PATCH,
        "out_hidden_size": HIDDEN,
        "num_position_embeddings": (SIDE // PATCH) ** 2,
        "deepstack_visual_indexes": [1],
        "initializer_range": 0.04,
    }
    return Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=SPECIAL_IDS[IMAGE],
        video_token_id=SPECIAL_IDS[VIDEO],
        vision_start_token_id=SPECIAL_IDS[VISION_START],
        vision_end_token_id=SPECIAL_IDS[VISION_END],
        tie_word_embeddings=True,
    )


def fresh_model(seed: int, tokens: int, longest_response: int) -> Qwen3VLForConditionalGeneration:
    """The untrained model, float32; equal seeds give equal weights, and the global generator is left alone.

    Position embeddings start wide (0.4): the tower must tell cells apart from its first steps on.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3VLForConditionalGeneration(config(tokens))
        torch.nn.init.normal_(model.model.visual.pos_embed.weight, std=0.4)
    model.generation_config = GenerationConfig(
        eos_token_id=SPECIAL_IDS[EOS],
        pad_token_id=SPECIAL_IDS[PAD],
        suppress_tokens=NEVER_SAMPLED,
        max_new_tokens=longest_response,
    )
    return model


def grown_model(model: Qwen3VLForConditionalGeneration, smaller: Qwen3VLForConditionalGeneration) -> None:
    """Take over every weight of a model with fewer words; words that it lacks keep what they have."""
    own, known = model.state_dict(), smaller.state_dict()
    with torch.no_grad():
        for name, weight in known.items():
            own[name][tuple(slice(size) for size in weight.shape)].copy_(weight)
