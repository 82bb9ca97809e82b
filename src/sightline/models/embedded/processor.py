"""The embedded model's tokenizer, image processor and processor, none of which needs torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Sequence as Pieces
from tokenizers.pre_tokenizers import Split
from transformers import PaddleOCRVLProcessor, PreTrainedTokenizerFast
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from ...tasks.shapes.canvas import SIDE

PATCH = 8
"""Side of a patch of the vision tower, in pixels."""

MERGE = 2
"""Patches per side that become one image token: 16 image tokens an image, one a cell."""

TEMPORAL_PATCH = 2

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"
VISION_START, VISION_END, IMAGE, VIDEO = "<vision_start>", "<vision_end>", "<image>", "<video>"
ASSISTANT = "<assistant>"

SPECIAL_TOKENS = (PAD, EOS, VISION_START, VISION_END, IMAGE, VIDEO, ASSISTANT, UNKNOWN)
SPECIAL_IDS: dict[str, int] = {token: number for number, token in enumerate(SPECIAL_TOKENS)}

NEVER_SAMPLED = [SPECIAL_IDS[token] for token in SPECIAL_TOKENS if token != EOS]
"""Ids that no response may hold; a sampled image placeholder makes the next forward raise."""

MAX_PROMPT_AND_RESPONSE = 512

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}" + ASSISTANT + "{%- endif -%}"
    "{%- if message['content'] is string -%}{{ message['content'] }}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}" + VISION_START + IMAGE + VISION_END + ""
    "{%- else -%}{{ part['text'] }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{%- if message['role'] == 'assistant' -%}" + EOS + "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}" + ASSISTANT + "{%- endif -%}"
)


def token_ids(vocabulary: Sequence[str]) -> dict[str, int]:
    """The id of every token: the special ones, then the words in their order."""
    return {token: number for number, token in enumerate((*SPECIAL_TOKENS, *vocabulary))}


def tokenizer(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """One token a word or number, split at spaces and around punctuation; pads on the left."""
    words = Tokenizer(WordLevel(token_ids(vocabulary), unk_token=UNKNOWN))
    pieces = Regex(r"\\boxed\{|</?think>|\d+|\w+|[^\s\w]")
    words.pre_tokenizer = Pieces([Split(pieces, "isolated"), Split(Regex(r"\s+"), "removed")])  # pyright: ignore[reportAttributeAccessIssue]
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=MAX_PROMPT_AND_RESPONSE,
        chat_template=CHAT_TEMPLATE,
        extra_special_tokens={
            "vision_start_token": VISION_START,
            "vision_end_token": VISION_END,
            "image_token": IMAGE,
            "video_token": VIDEO,
            "assistant_token": ASSISTANT,
        },
    )


def image_processor() -> Qwen2VLImageProcessorPil:
    """Any image to 64x64; mean 225 and deviation 60 of 255 put the background near 0."""
    return Qwen2VLImageProcessorPil(
        patch_size=PATCH,
        merge_size=MERGE,
        temporal_patch_size=TEMPORAL_PATCH,
        size={"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE},
        image_mean=[225 / 255] * 3,
        image_std=[60 / 255] * 3,
    )


def processor(vocabulary: Sequence[str]) -> PaddleOCRVLProcessor:
    """A level's processor, from nothing; its class is the plainest one of the library."""
    return PaddleOCRVLProcessor(image_processor(), tokenizer(vocabulary), chat_template=CHAT_TEMPLATE)


def load_processor(folder: str | Path) -> PaddleOCRVLProcessor:
    """The same put together from a saved folder, with or without torchvision on the machine.

    The image processor is always the PIL one, so that pixel values do not depend on what is installed.
    """
    words = PreTrainedTokenizerFast.from_pretrained(folder)
    images = Qwen2VLImageProcessorPil.from_pretrained(folder)
    return PaddleOCRVLProcessor(images, words, chat_template=words.chat_template)
