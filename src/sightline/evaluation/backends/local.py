"""Answers by transformers' `generate`, in batches that shrink when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from ...errors import UserError
from ...models.families import end_ids, placeholder_ids, type_ids
from ...models.generation.generate import Decoding
from ...models.loading import LoadedModel
from .backend import Reply, Request

log = logging.getLogger(__name__)


class SampleByRow(LogitsProcessor):
    """Sampling with a generator of its own for every row, by adding noise and taking the largest.

    argmax_v (log p_v − log E_v),  E_v ~ Exp(1),  draws v with probability p_v (the Gumbel trick), p being
    the softmax of logits / temperature, cut to the smallest set that holds `top_p` of the mass.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float, device: torch.device):
        self.temperature, self.top_p = temperature, top_p
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        logits = scores.float() / self.temperature
        if self.top_p < 1:
            logits = logits.masked_fill(_beyond(logits, self.top_p), -torch.inf)
        noise = torch.empty_like(logits)
        for row, generator in enumerate(self.generators):
            noise[row].exponential_(generator=generator)
        return logits - noise.log()


def _beyond(logits: Tensor, top_p: float) -> Tensor:
    """Which tokens lie beyond the smallest set, likeliest first, that holds `top_p` of the mass."""
    ordered, index = logits.sort(descending=True)
    probabilities = ordered.softmax(-1)
    past = probabilities.cumsum(-1) - probabilities >= top_p
    return torch.zeros_like(past).scatter(-1, index, past)


class LocalBackend:
    """A loaded model; `at_once` is where the batches begin.

    It calls transformers' `generate` itself, since every row here has a seed of its own.
    """

    name = "hf"
    exact = True

    def __init__(self, loaded: LoadedModel, at_once: int):
        self.loaded, self.at_once = loaded, at_once
        self.processor: Any = loaded.processor
        self._fits = at_once

    def answers(self, requests: Sequence[Request], decoding: Decoding) -> list[Reply]:
        """One reply per request; a batch that does not fit in memory is halved, and so are those after it.

        Raises:
            UserError: a single request does not fit.
        """
        replies: list[Reply] = []
        while len(replies) < len(requests):
            batch = requests[len(replies) : len(replies) + self._fits]
            try:
                replies += self._batch(batch, decoding)
                continue
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
            self._halve(len(batch))  # once the error, which holds on to what was allocated, is gone
        return replies

    def _halve(self, size: int) -> None:
        if size == 1:
            raise UserError(
                "not enough memory for a single answer; use a smaller --max_pixels or --max_new_tokens, "
                "a shorter --dtype, or --backend vllm"
            )
        self._fits = max(1, size // 2)
        log.warning("out of memory with %d requests at once; going on with %d", size, self._fits)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @torch.no_grad()
    def _batch(self, requests: Sequence[Request], decoding: Decoding) -> list[Reply]:
        """All at once. What a checkpoint saved for chatting (a repetition penalty, top-k) does not change
        the policy that is measured."""
        model: Any = self.loaded.model
        processor = self.processor
        inputs = _inputs(processor, requests).to(model.device)
        inputs.update(type_ids(model, inputs["input_ids"]))
        draw = LogitsProcessorList()
        if decoding.temperature > 0:
            seeds = [request.seed for request in requests]
            draw.append(SampleByRow(seeds, decoding.temperature, decoding.top_p, model.device))
        ends = self._ends()
        output = model.generate(
            **inputs,
            logits_processor=draw,
            max_new_tokens=decoding.max_new_tokens,
            suppress_tokens=placeholder_ids(model.config) or None,
            eos_token_id=sorted(ends),
            pad_token_id=processor.tokenizer.pad_token_id,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
        )
        width = inputs["input_ids"].shape[1]
        return [_reply(processor.tokenizer, ids[width:].tolist(), ends) for ids in output]

    def _ends(self) -> set[int]:
        """Every id that ends an answer: the config's, the generation config's, the tokenizer's."""
        saved = getattr(self.loaded.model.generation_config, "eos_token_id", None)
        own = saved if isinstance(saved, list) else [saved]
        known = [*end_ids(self.loaded.model.config), *own, self.processor.tokenizer.eos_token_id]
        return {end for end in known if isinstance(end, int)}


def _inputs(processor: Any, requests: Sequence[Request]) -> Any:
    texts = [
        processor.apply_chat_template(
            list(request.prompt.messages), add_generation_prompt=True, tokenize=False
        )
        for request in requests
    ]
    shown = [list(request.prompt.images) for request in requests]
    return processor(
        text=texts,
        images=shown if any(shown) else None,
        padding=True,
        return_tensors="pt",
        add_special_tokens=False,
    )


def _reply(tokenizer: Any, ids: list[int], ends: set[int]) -> Reply:
    stop = next((place for place, token in enumerate(ids) if token in ends), None)
    kept = ids if stop is None else ids[: stop + 1]
    text = tokenizer.decode(kept, skip_special_tokens=True)
    return Reply(text, stop is None, len(kept), kept)


def _out_of_memory(error: BaseException) -> bool:
    said = str(error).lower()
    known = ("not enough memory", "out of memory", "cublas_status_alloc_failed")
    return isinstance(error, torch.OutOfMemoryError) or any(words in said for words in known)
