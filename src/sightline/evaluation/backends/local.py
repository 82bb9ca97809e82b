"""Answers by transformers' `generate`, in batches that shrink when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from ...errors import UserError
from ...models.generation import Answer, Decoding, generate
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


class _OwnSeeds:
    """A model as `generate` sees it, whose rows are drawn by their own seeds.

    Options that a checkpoint saved for chatting (a repetition penalty, top-k) do not change the policy
    that is measured.
    """

    def __init__(self, model: Any, seeds: Sequence[int], decoding: Decoding):
        self._model, self._seeds, self._decoding = model, seeds, decoding

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, **options: Any) -> Tensor:
        """The model's own, with `do_sample` and its options replaced by `SampleByRow`."""
        for option in ("do_sample", "temperature", "top_p", "top_k"):
            options.pop(option, None)
        chosen = self._decoding
        if chosen.temperature > 0:
            draw = SampleByRow(self._seeds, chosen.temperature, chosen.top_p, self._model.device)
            options["logits_processor"] = LogitsProcessorList([draw])
        plain = {"do_sample": False, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "num_beams": 1}
        return self._model.generate(**options, **plain, temperature=None, top_p=None, top_k=None)


class LocalBackend:
    """A loaded model; `at_once` is where the batches begin."""

    name = "hf"
    exact = True

    def __init__(self, loaded: LoadedModel, at_once: int):
        self.loaded, self.at_once = loaded, at_once
        self.processor = loaded.processor
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
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                self._halve(len(batch), error)
        return replies

    def _halve(self, size: int, error: BaseException) -> None:
        if size == 1:
            raise UserError(
                "not enough memory for a single answer; use a smaller --max_pixels or --max_new_tokens, "
                "a shorter --dtype, or --backend vllm"
            ) from error
        self._fits = max(1, size // 2)
        log.warning("out of memory with %d requests at once; going on with %d", size, self._fits)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _batch(self, requests: Sequence[Request], decoding: Decoding) -> list[Reply]:
        seeds = [request.seed for request in requests]
        model: Any = _OwnSeeds(self.loaded.model, seeds, decoding)
        prompts = [request.prompt for request in requests]
        answers = generate(
            model, self.loaded.processor, prompts, replace(decoding, seed=0), batch_size=len(prompts)
        )
        return [_reply(answer) for answer in answers]


def _reply(answer: Answer) -> Reply:
    return Reply(answer.text, answer.truncated, len(answer.token_ids), answer.token_ids)


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error).lower()
