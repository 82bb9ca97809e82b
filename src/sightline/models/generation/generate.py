"""Answers from a model: prompts with images -> token ids, seeded, placeholders never sampled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel
from transformers.utils import logging

from ..families import end_ids, image_features_inputs, own_end_ids, placeholder_ids, type_ids
from .decoder import prefills_once, sample
from .prompt_inputs import make_prompts
from .sampling_params import choice

_log = logging.get_logger(__name__)


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen: temperature 0 is greedy."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    template: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the chat template (`chat_template_kwargs`)."""


@dataclass(frozen=True)
class Prompt:
    """Chat messages (one `{"type": "image"}` part per image) and the images they refer to."""

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
    progress: Callable[[int], object] | None = None,
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
        processor.apply_chat_template(
            list(prompt.messages), add_generation_prompt=True, tokenize=False, **decoding.template
        )
        for prompt in prompts
    ]
    ends = sorted({*end_ids(model.config), *own_end_ids(model), processor.tokenizer.eos_token_id})
    config = _config(model, processor, decoding, ends)
    once = prefills_once(model, config)
    responses = (_sampled if once else _stock)(model, processor, texts, prompts, config)
    return [_answer(processor, ends, asked, ids) for asked, ids in responses]


def _config(model: Any, processor: Any, decoding: Decoding, ends: list[int]) -> GenerationConfig:
    sampled = decoding.temperature > 0
    choice = {"temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0} if sampled else {}
    return GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        do_sample=sampled,
        suppress_tokens=placeholder_ids(model.config) or None,
        eos_token_id=ends,
        pad_token_id=processor.tokenizer.pad_token_id,
        **choice,
    )


def _inputs(model: Any, processor: Any, texts: Sequence[str], images: list[list[Any]]) -> Any:
    return processor(
        text=list(texts),
        images=images if any(images) else None,
        padding=True,
        return_tensors="pt",
        add_special_tokens=False,
    ).to(model.device)


def _sampled(
    model: Any, processor: Any, texts: Sequence[str], prompts: Sequence[Prompt], config: GenerationConfig
) -> list[tuple[list[int], list[int]]]:
    """Prompt and response ids of each row; a prompt that occurs several times runs once."""
    keys = [(text, *map(id, prompt.images)) for text, prompt in zip(texts, prompts, strict=True)]
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    places = {key: place for place, key in enumerate(first)}
    rows = list(first.values())
    inputs = _inputs(
        model, processor, [texts[row] for row in rows], [list(prompts[row].images) for row in rows]
    )
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    shown = make_prompts(model, ids, mask, image_features_inputs(model, dict(inputs)))
    owner = torch.tensor([places[key] for key in keys], device=ids.device)
    sampled = sample(model, shown, owner, choice(config, model.generation_config))
    if sampled.overflown.any():
        _log.warning(f"{int(sampled.overflown.sum())} answers end where the model's logits were not finite")
    found = sampled.lists()
    asked = [row[kept.bool()].tolist() for row, kept in zip(ids, mask, strict=True)]
    return [(asked[place], response) for place, response in zip(owner.tolist(), found, strict=True)]


def _stock(
    model: Any, processor: Any, texts: Sequence[str], prompts: Sequence[Prompt], config: GenerationConfig
) -> list[tuple[list[int], list[int]]]:
    """The same from transformers' own `generate`, every row with its own prompt."""
    inputs = _inputs(model, processor, texts, [list(prompt.images) for prompt in prompts])
    inputs.update(type_ids(model, inputs["input_ids"]))
    output = model.generate(**inputs, generation_config=config)
    width = inputs["input_ids"].shape[1]
    return [
        (ids[:width][inputs["attention_mask"][row].bool()].tolist(), ids[width:].tolist())
        for row, ids in enumerate(output)
    ]


def _answer(processor: Any, ends: list[int], prompt: list[int], ids: list[int]) -> Answer:
    stop = next((i for i, token in enumerate(ids) if token in ends), None)
    kept = ids if stop is None else ids[: stop + 1]
    text = processor.tokenizer.decode(kept, skip_special_tokens=True)
    return Answer(prompt, kept, text, truncated=stop is None)
