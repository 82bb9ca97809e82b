"""Answers from a model: prompts with pictures -> token ids, seeded, placeholders never sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .families import end_ids, placeholder_ids, type_ids


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen: temperature 0 is greedy."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Prompt:
    """Chat messages (one `{"type": "image"}` part per picture) and the pictures they refer to."""

    messages: Sequence[dict[str, Any]]
    images: Sequence[Any]


@dataclass(frozen=True)
class Answer:
    """One response: its tokens (end-of-sequence included), its text, and whether the limit cut it."""

    prompt_ids: list[int]
    token_ids: list[int]
    text: str
    truncated: bool


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    processor: Any,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    *,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> list[Answer]:
    """One answer per prompt, in order; `progress(n)` is called with the number of new answers.

    The global random state is left as it was found: sampling draws from `decoding.seed`.
    """
    answers: list[Answer] = []
    was_training = model.training
    model.eval()
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(decoding.seed)
            for start in range(0, len(prompts), batch_size):
                batch = prompts[start : start + batch_size]
                answers += _generate_batch(model, processor, batch, decoding)
                if progress is not None:
                    progress(len(batch))
    finally:
        model.train(was_training)
    return answers


def _generate_batch(
    model: Any, processor: Any, prompts: Sequence[Prompt], decoding: Decoding
) -> list[Answer]:
    texts = [
        processor.apply_chat_template(list(prompt.messages), add_generation_prompt=True, tokenize=False)
        for prompt in prompts
    ]
    shown = [list(prompt.images) for prompt in prompts]
    inputs = processor(
        text=texts,
        images=shown if any(shown) else None,
        padding=True,
        return_tensors="pt",
        add_special_tokens=False,
    ).to(model.device)
    inputs.update(type_ids(model, inputs["input_ids"]))
    sampled = decoding.temperature > 0
    choice = {"temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0} if sampled else {}
    output = model.generate(
        **inputs,
        max_new_tokens=decoding.max_new_tokens,
        do_sample=sampled,
        suppress_tokens=placeholder_ids(model.config) or None,
        pad_token_id=processor.tokenizer.pad_token_id,
        **choice,
    )
    width = inputs["input_ids"].shape[1]
    return [
        _answer(processor, model, ids[:width][inputs["attention_mask"][row].bool()], ids[width:])
        for row, ids in enumerate(output)
    ]


def _answer(processor: Any, model: PreTrainedModel, prompt: Tensor, response: Tensor) -> Answer:
    ends = {*end_ids(model.config), processor.tokenizer.eos_token_id}
    ids = response.tolist()
    stop = next((i for i, token in enumerate(ids) if token in ends), None)
    kept = ids if stop is None else ids[: stop + 1]
    text = processor.tokenizer.decode(kept, skip_special_tokens=True)
    return Answer(prompt.tolist(), kept, text, truncated=stop is None)
