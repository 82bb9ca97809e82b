"""Tiny vision-language models of each family with random weights, and processors without torchvision.

`build(name)` gives a model in evaluation mode, float32, and the processor that feeds it. Weights are the same
on every call. `prompts` makes prompts whose number and sizes of images differ.
"""
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false, reportIndexIssue=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sightline.models.generation.generate import Prompt
from sightline.models.processors import image_only_class
from sightline.models.scoring.lm_head import as_forward_scales
from sightline.rollouts import Rollouts

HIDDEN = 32
_CHAT = (
    "{%- for m in messages -%}<|im_start|>{{ m['role'] }}\n"
    "{%- if m['content'] is string -%}{{ m['content'] }}"
    "{%- else -%}{%- for c in m['content'] -%}"
    "{%- if c['type'] == 'image' -%}IMAGE{%- else -%}{{ c['text'] }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}<|im_end|>{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}"
)


def _tokenizer(special: Sequence[str], **extra: str) -> PreTrainedTokenizerFast:
    """One token a byte, and the special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|unk|>",
        additional_special_tokens=["<|im_start|>", *special],
        padding_side="left",
        **({"extra_special_tokens": extra} if extra else {}),
    )


def _text(tokenizer: Any, **changes: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        # Wide enough for attention and predictions to differ visibly between tokens.
        "initializer_range": 0.2,
        **changes,
    }


def _vision(**changes: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_hidden_layers": 2}
    return {**sizes, "image_size": 32, "patch_size": 8, "initializer_range": 0.2, **changes}


_QWEN_TOKENS = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def _qwen(name: str, config: Any, tokenizer: Any, patch: int, of: str | None = None) -> tuple[Any, Any]:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    images = Qwen2VLImageProcessorPil(
        patch_size=patch, merge_size=2, temporal_patch_size=2, min_pixels=(2 * patch) ** 2, max_pixels=64 * 64
    )
    template = _CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    processor = image_only_class(f"{name}Processor")(images, tokenizer, chat_template=template)
    return getattr(transformers, f"{of or name}ForConditionalGeneration")(config), processor


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    start, end, image, video = tokenizer.convert_tokens_to_ids(_QWEN_TOKENS)
    return {
        "vision_start_token_id": start,
        "vision_end_token_id": end,
        "image_token_id": image,
        "video_token_id": video,
    }


def qwen2_5_vl() -> tuple[Any, Any]:
    tokenizer = _tokenizer(_QWEN_TOKENS)
    config = transformers.Qwen2_5_VLConfig(
        text_config=_text(
            tokenizer,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
        ),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": HIDDEN,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 32,
            "fullatt_block_indexes": [1],
            "initializer_range": 0.2,
        },
        tie_word_embeddings=False,
        **_qwen_ids(tokenizer),
    )
    return _qwen("Qwen2_5_VL", config, tokenizer, 8)


def qwen3_vl() -> tuple[Any, Any]:
    tokenizer = _tokenizer(_QWEN_TOKENS)
    config = transformers.Qwen3VLConfig(
        text_config=_text(
            tokenizer,
            head_dim=8,
            num_hidden_layers=3,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
        ),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": HIDDEN,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
            "initializer_range": 0.2,
        },
        tie_word_embeddings=True,
        **_qwen_ids(tokenizer),
    )
    return _qwen("Qwen3VL", config, tokenizer, 8)


def internvl() -> tuple[Any, Any]:
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = _tokenizer(list(named.values()), **named)
    config = transformers.InternVLConfig(
        text_config=_text(tokenizer, model_type="qwen2"),
        vision_config=_vision(),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    images = GotOcr2ImageProcessorPil(size={"height": 32, "width": 32}, max_patches=3)
    processor = image_only_class("InternVLProcessor")(
        images, tokenizer, image_seq_length=4, chat_template=_CHAT.replace("IMAGE", "<IMG_CONTEXT>")
    )
    return transformers.InternVLForConditionalGeneration(config), processor


def gemma3() -> tuple[Any, Any]:
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = _tokenizer(list(named.values()), **named)
    begin, end, image = tokenizer.convert_tokens_to_ids(list(named.values()))
    config = transformers.Gemma3Config(
        # The window is shorter than a prompt, so that sliding layers forget.
        text_config=_text(
            tokenizer, head_dim=8, sliding_window=24, layer_types=["sliding_attention", "full_attention"]
        ),
        vision_config=_vision(),
        mm_tokens_per_image=4,
        image_token_id=image,
        boi_token_index=begin,
        eoi_token_index=end,
        initializer_range=0.2,
    )  # fmt: skip
    model = transformers.Gemma3ForConditionalGeneration(config)
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=0.2)
    processor = transformers.Gemma3Processor(
        Gemma3ImageProcessorPil(size={"height": 32, "width": 32}),
        tokenizer,
        chat_template=_CHAT.replace("IMAGE", "<start_of_image>"),
        image_seq_length=4,
    )
    return model, processor


def _idefics_parts(split: bool) -> tuple[Any, Any, dict[str, Any]]:
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    corners = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
    tokenizer = _tokenizer(
        ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *corners]
    )
    config = {
        "text_config": _text(tokenizer, model_type="llama"),
        "vision_config": _vision(),
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "scale_factor": 2,
        "pad_token_id": tokenizer.pad_token_id,
    }
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 64 if split else 32},
        max_image_size={"longest_edge": 32},
        do_image_splitting=split,
    )
    processor = transformers.Idefics3Processor(
        images, tokenizer, image_seq_len=4, chat_template=_CHAT.replace("IMAGE", "<image>")
    )
    return tokenizer, processor, config


def idefics3() -> tuple[Any, Any]:
    _, processor, config = _idefics_parts(split=True)
    return transformers.Idefics3ForConditionalGeneration(transformers.Idefics3Config(**config)), processor


def smolvlm() -> tuple[Any, Any]:
    # SmolVLM's own processor needs torchvision and num2words; for images it is Idefics3's.
    _, processor, config = _idefics_parts(split=False)
    return transformers.SmolVLMForConditionalGeneration(transformers.SmolVLMConfig(**config)), processor


def llava() -> tuple[Any, Any]:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = _tokenizer(["<image>"])
    config = transformers.LlavaConfig(
        text_config=_text(tokenizer, model_type="llama"),
        vision_config=_vision(model_type="clip_vision_model", num_hidden_layers=3, projection_dim=32),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
    )
    processor = transformers.LlavaProcessor(
        CLIPImageProcessorPil(size={"height": 32, "width": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_CHAT.replace("IMAGE", "<image>"),
        image_token="<image>",
    )
    return transformers.LlavaForConditionalGeneration(config), processor


def llava_onevision() -> tuple[Any, Any]:
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )

    tokenizer = _tokenizer(["<image>", "<video>"])
    grid = [[32, 32], [32, 64], [64, 32]]
    image, video = tokenizer.convert_tokens_to_ids(["<image>", "<video>"])
    config = transformers.LlavaOnevisionConfig(
        text_config=_text(tokenizer, model_type="qwen2"),
        vision_config=_vision(model_type="siglip_vision_model", vision_use_head=False),
        image_token_index=image,
        video_token_index=video,
        image_grid_pinpoints=grid,
        vision_feature_select_strategy="full",
    )
    processor = image_only_class("LlavaOnevisionProcessor")(
        LlavaOnevisionImageProcessorPil(size={"height": 32, "width": 32}, image_grid_pinpoints=grid),
        tokenizer,
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=_CHAT.replace("IMAGE", "<image>"),
    )
    return transformers.LlavaOnevisionForConditionalGeneration(config), processor


def gemma4() -> tuple[Any, Any]:
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

    named = {
        "boi_token": "<|image>",
        "eoi_token": "<image|>",
        "image_token": "<|image|>",
        "audio_token": "<|audio|>",
        "boa_token": "<|audio>",
        "eoa_token": "<audio|>",
    }
    tokenizer = _tokenizer([*named.values(), "<|video|>"], **named)
    begin, end, image, audio, begin_audio, end_audio, video = tokenizer.convert_tokens_to_ids(
        [*named.values(), "<|video|>"]
    )
    config = transformers.Gemma4Config(
        text_config=_text(
            tokenizer,
            head_dim=8,
            global_head_dim=8,
            num_hidden_layers=4,
            num_kv_shared_layers=1,
            sliding_window=24,
            layer_types=["sliding_attention", "full_attention", "full_attention", "full_attention"],
            use_bidirectional_attention="vision",
            vocab_size_per_layer_input=len(tokenizer),
            hidden_size_per_layer_input=4,
            final_logit_softcapping=30.0,
        ),
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "patch_size": 8,
            "pooling_kernel_size": 2,
            "position_embedding_size": 64,
            "initializer_range": 0.2,
        },
        audio_config=None,
        boi_token_id=begin,
        eoi_token_id=end,
        image_token_id=image,
        video_token_id=video,
        audio_token_id=audio,
        boa_token_id=begin_audio,
        eoa_token_index=end_audio,
        initializer_range=0.2,
    )
    images = Gemma4ImageProcessorPil(patch_size=8, pooling_kernel_size=2, max_soft_tokens=70)
    processor = image_only_class("Gemma4Processor")(
        images, tokenizer, chat_template=_CHAT.replace("IMAGE", "<|image|>")
    )
    return transformers.Gemma4ForConditionalGeneration(config), processor


def cohere2_vision() -> tuple[Any, Any]:
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    named = {
        "image_token": "<|IMG_PATCH|>",
        "boi_token": "<|START_OF_IMG|>",
        "eoi_token": "<|END_OF_IMG|>",
        "img_line_break_token": "<|IMG_LINE_BREAK|>",
    }
    tokenizer = _tokenizer(list(named.values()), **named)
    config = transformers.Cohere2VisionConfig(
        # All layers but every fourth attend over a window.
        text_config=_text(tokenizer, model_type="cohere2", num_hidden_layers=4, sliding_window=24),
        vision_config=_vision(model_type="siglip_vision_model", vision_use_head=False),
        image_token_id=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        downsample_factor=2,
        alignment_intermediate_size=32,
    )
    # Cohere's own image processor needs torchvision; this one cuts the same tiles.
    images = GotOcr2ImageProcessorPil(
        size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=3, patch_size=2
    )
    images.patch_size = 2  # image tokens along a tile's side
    processor = transformers.Cohere2VisionProcessor(
        images, tokenizer, chat_template=_CHAT.replace("IMAGE", "<|IMG_PATCH|>")
    )
    model = transformers.Cohere2VisionForConditionalGeneration(config)
    as_forward_scales(model)  # as loading does
    return model, processor


def lfm2_vl() -> tuple[Any, Any]:
    from lfm2_images import Lfm2ImagesWithoutTorchvision

    tokenizer = _tokenizer(["<image>", "<|image_start|>", "<|image_end|>"], image_token="<image>")
    config = transformers.Lfm2VlConfig(
        text_config=_text(
            tokenizer,
            model_type="lfm2",
            num_hidden_layers=3,
            layer_types=["conv", "full_attention", "conv"],
            block_auto_adjust_ff_dim=False,
        ),
        vision_config=_vision(model_type="siglip2_vision_model", num_patches=64, vision_use_head=False),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        projector_hidden_size=32,
        downsample_factor=2,
    )
    processor = transformers.Lfm2VlProcessor(
        Lfm2ImagesWithoutTorchvision(), tokenizer, chat_template=_CHAT.replace("IMAGE", "<image>")
    )
    return transformers.Lfm2VlForConditionalGeneration(config), processor


def qwen3_5() -> tuple[Any, Any]:
    tokenizer = _tokenizer(_QWEN_TOKENS)
    config = transformers.Qwen3_5Config(
        text_config=_text(
            tokenizer,
            head_dim=16,
            num_hidden_layers=3,
            layer_types=["linear_attention", "full_attention", "linear_attention"],
            linear_key_head_dim=8,
            linear_value_head_dim=8,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [1, 1, 0],
                "partial_rotary_factor": 0.25,
            },
        ),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": HIDDEN,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "num_position_embeddings": 64,
            "initializer_range": 0.2,
        },
        tie_word_embeddings=False,
        **_qwen_ids(tokenizer),
    )
    model, processor = _qwen("Qwen3VL", config, tokenizer, 8, of="Qwen3_5")
    return model, processor


def glm4v_moe() -> tuple[Any, Any]:
    from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

    words = ["<|begin_of_image|>", "<|end_of_image|>", "<|image|>", "<|video|>",
             "<|begin_of_video|>", "<|end_of_video|>"]  # fmt: skip
    tokenizer = _tokenizer(words)
    start, end, image, video, video_start, video_end = tokenizer.convert_tokens_to_ids(words)
    config = transformers.Glm4vMoeConfig(
        text_config=_text(
            tokenizer,
            head_dim=8,
            moe_intermediate_size=16,
            n_routed_experts=4,
            num_experts_per_tok=2,
            rope_parameters={
                "rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 0],
                "partial_rotary_factor": 0.5,
            },
        ),
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "image_size": 32,
            "out_hidden_size": HIDDEN, "patch_size": 8, "initializer_range": 0.2,
        },
        image_token_id=image,
        video_token_id=video,
        image_start_token_id=start,
        image_end_token_id=end,
        video_start_token_id=video_start,
        video_end_token_id=video_end,
    )  # fmt: skip
    images = Glm4vImageProcessorPil(
        patch_size=8, merge_size=2, temporal_patch_size=2,
        size={"shortest_edge": 16 * 16 * 2, "longest_edge": 64 * 64 * 2},
    )  # fmt: skip
    template = _CHAT.replace("IMAGE", "<|begin_of_image|><|image|><|end_of_image|>")
    processor = image_only_class("Glm4vProcessor")(images, tokenizer, chat_template=template)
    model = transformers.Glm4vMoeForConditionalGeneration(config)
    model.set_experts_implementation("eager")  # the grouped one takes no float64
    return model, processor


def mllama() -> tuple[Any, Any]:
    """Not one of `FAMILIES`: its images are no tokens of the prompt, and it is refused."""
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    tokenizer = _tokenizer(["<|image|>", "<|python_tag|>", "<|begin|>"])
    tokenizer.bos_token = "<|begin|>"
    image = tokenizer.convert_tokens_to_ids("<|image|>")
    config = transformers.MllamaConfig(
        text_config=_text(
            tokenizer,
            num_hidden_layers=3,
            cross_attention_layers=[1],
            bos_token_id=tokenizer.bos_token_id,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        ),
        vision_config={
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_global_layers": 1,
            "attention_heads": 2, "image_size": 32, "patch_size": 8, "max_num_tiles": 4,
            "intermediate_layers_indices": [0], "vision_output_dim": 64,
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1], [2, 2], [1, 3], [3, 1], [1, 4], [4, 1]],
            "initializer_range": 0.2,
        },
        image_token_index=image,
    )  # fmt: skip
    processor = transformers.MllamaProcessor(
        MllamaImageProcessorPil(size={"height": 32, "width": 32}, max_image_tiles=4),
        tokenizer,
        chat_template=_CHAT.replace("IMAGE", "<|image|>"),
    )
    model = transformers.MllamaForConditionalGeneration(config)
    for name, value in model.named_parameters():
        if "gate" in name:  # zero at the start, so that images would count nothing
            torch.nn.init.constant_(value, 0.5)
    return model, processor


def paligemma() -> tuple[Any, Any]:
    """Not one of `FAMILIES`: its answers see later tokens, and it is refused."""
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    tokenizer = _tokenizer(["<image>", "<bos>"], image_token="<image>")
    tokenizer.bos_token = "<bos>"
    config = transformers.PaliGemmaConfig(
        text_config=_text(tokenizer, model_type="gemma", head_dim=8),
        vision_config=_vision(model_type="siglip_vision_model", vision_use_head=False),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=HIDDEN,
    )
    images = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    processor = transformers.PaliGemmaProcessor(
        images, tokenizer, chat_template=_CHAT.replace("IMAGE", "<image>")
    )
    return transformers.PaliGemmaForConditionalGeneration(config), processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    f.__name__: f
    for f in (
        qwen2_5_vl, qwen3_vl, internvl, gemma3, idefics3, smolvlm, llava, llava_onevision,
        gemma4, cohere2_vision, lfm2_vl, qwen3_5, glm4v_moe,
    )
}  # fmt: skip


UNSHARED = ("lfm2_vl", "qwen3_5")
"""Families whose cache holds states of layers that are no attention, so that every rollout runs whole."""


PACKED = [name for name in FAMILIES if name not in (*UNSHARED, "gemma4")]
"""Families whose training forward runs a prompt once for its rollouts."""


def build(name: str) -> tuple[Any, Any]:
    """A tiny model of family `name` and its processor; equal weights on every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, processor = {**FAMILIES, "paligemma": paligemma, "mllama": mllama}[name]()
    return model.eval(), processor


def make_image(width: int, height: int, seed: int) -> Image.Image:
    """Random blocks of colour."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST)


def prompt(text: str, images: Sequence[Image.Image] = ()) -> Prompt:
    """A user's turn: the images, then the text."""
    parts = [{"type": "image"} for _ in images] + [{"type": "text", "text": text}]
    return Prompt([{"role": "user", "content": parts}], list(images))


def prompts() -> list[Prompt]:
    """One image, none, two, one of another shape: prompts of four lengths."""
    return [
        prompt("How many?", [make_image(40, 40, 1)]),
        prompt("What is two and three?"),
        prompt("Same?", [make_image(32, 32, 2), make_image(32, 48, 3)]),
        prompt("Which colour is the largest block?", [make_image(64, 32, 4)]),
    ]


def rollouts(
    model: Any, processor: Any, asked: Sequence[Prompt], group: int = 3, seed: int = 0, longest: int = 7
) -> Rollouts:
    """`group` rollouts of random text tokens per prompt, of different lengths, the last one empty."""
    random = torch.Generator().manual_seed(seed)
    texts = [
        processor.apply_chat_template(list(p.messages), add_generation_prompt=True, tokenize=False)
        for p in asked
    ]
    shown = [list(p.images) for p in asked]
    inputs = processor(
        text=texts,
        images=shown if any(shown) else None,
        padding=True,
        return_tensors="pt",
        add_special_tokens=False,
    )
    count = group * len(asked)
    lengths = torch.randint(1, longest + 1, (count,), generator=random)
    lengths[-1] = 0
    mask = (torch.arange(longest) < lengths[:, None]).long()
    ids = torch.randint(60, 90, (count, longest), generator=random)
    return Rollouts(
        prompt_ids=inputs["input_ids"].repeat_interleave(group, 0),
        prompt_mask=inputs["attention_mask"].repeat_interleave(group, 0),
        response_ids=torch.where(mask.bool(), ids, processor.tokenizer.pad_token_id),
        mask=mask,
        group_ids=torch.arange(len(asked)).repeat_interleave(group),
        images=[images for images in shown for _ in range(group)],
        sample_ids=[str(number) for number in range(len(asked)) for _ in range(group)],
    )
