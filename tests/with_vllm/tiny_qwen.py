"""A Qwen2.5-VL of 0.6 million random parameters in a folder that transformers and vLLM both load."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

CONTROL = ["<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
TEMPLATE = (
    "{%- for m in messages -%}<|im_start|>{{ m['role'] }}\n"
    "{%- if m['content'] is string -%}{{ m['content'] }}"
    "{%- else -%}{%- for c in m['content'] -%}"
    "{%- if c['type'] == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- else -%}{{ c['text'] }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}<|im_end|>{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}"
)
HIDDEN, HEAD_DIM = 128, 32
"""vLLM's attention for CPUs takes heads of 32 and wider."""


def build(folder: Path) -> None:
    """Write model and processor."""
    tokenizer = _tokenizer()
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(_config(tokenizer))
    _silence(model, [i for i in range(256, len(tokenizer)) if i != tokenizer.eos_token_id])
    sizes = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
    images = Qwen2VLImageProcessor(**sizes, min_pixels=28 * 28, max_pixels=112 * 112)
    processor = Qwen2_5_VLProcessor(images, tokenizer, Qwen2VLVideoProcessor(**sizes), chat_template=TEMPLATE)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and the control tokens."""
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE(vocab={byte: i for i, byte in enumerate(bytes_)}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|unk|>",
        additional_special_tokens=CONTROL,
        padding_side="left",
    )


def _config(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    _, start, end, image, video = tokenizer.convert_tokens_to_ids(CONTROL)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": HIDDEN // HEAD_DIM,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        # Wide enough for the image to move the answer.
        "initializer_range": 0.1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]},
    }
    vision = {
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_heads": 2,
        "out_hidden_size": HIDDEN,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 56,
        "fullatt_block_indexes": [1],
        "initializer_range": 0.1,
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        tie_word_embeddings=False,
        vision_start_token_id=start,
        vision_end_token_id=end,
        image_token_id=image,
        video_token_id=video,
    )


@torch.no_grad()
def _silence(model: Qwen2_5_VLForConditionalGeneration, tokens: list[int]) -> None:
    """Next to no probability on control tokens, as in a trained model.

    They are banned from sampling, and vLLM's log-probs are those after the ban: at a few percent of mass,
    as random weights give them, sampler and trainer would differ by that alone. One hidden unit is the same
    at every token, and the head reads these tokens' logits off it.
    """
    decoder = model.model.language_model
    decoder.embed_tokens.weight[:, 0] = 0.5
    model.model.visual.merger.mlp[2].weight[0] = 0.0
    model.model.visual.merger.mlp[2].bias[0] = 0.5
    for layer in decoder.layers:
        layer.self_attn.o_proj.weight[0] = 0.0
        layer.mlp.down_proj.weight[0] = 0.0
    model.lm_head.weight[tokens] = 0.0
    model.lm_head.weight[tokens, 0] = -100.0
