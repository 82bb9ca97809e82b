"""How the next token is chosen: a `GenerationConfig` in the words of the sampler, or why it cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

_HONOURED = {"max_new_tokens", "do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty",
             "suppress_tokens", "eos_token_id", "pad_token_id"}  # fmt: skip
_WITHOUT_EFFECT = {
    *(
        "bos_token_id",
        "decoder_start_token_id",
        "max_length",
        "use_cache",
        "disable_compile",
        "early_stopping",
    ),
    *("_from_model_config", "transformers_version", "is_assistant", "num_assistant_tokens", "low_memory"),
    *("num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_lookbehind"),
    *("target_lookbehind", "assistant_ensemble_weight", "max_matching_ngram_size", "compile_config"),
    *("continuous_batching_config", "cache_config", "max_cache_len"),
}
_COUNTS = {"min_length", "min_new_tokens", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
           "prompt_lookup_num_tokens", "prefill_chunk_size"}  # fmt: skip
"""Settings that are off at 0 and already on at 1."""


@dataclass(frozen=True)
class NextTokenSampler:
    """The next token's choice, and when a response ends."""

    max_new_tokens: int
    sampled: bool
    """Drawn at random; else the likeliest."""
    processors: LogitsProcessorList
    """transformers' own, in its order."""
    banned: list[int]
    end_ids: list[int]
    pad_id: int

    def __call__(self, history: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """One token [R] after each row of `history`, and its log-prob [R] under what it was drawn from."""
        scores: Any = self.processors(history, logits)  # pyright: ignore[reportArgumentType]
        log_probs = scores.log_softmax(-1)
        token = torch.multinomial(log_probs.exp(), 1) if self.sampled else log_probs.argmax(-1, keepdim=True)
        return token[:, 0], log_probs.gather(-1, token)[:, 0]


def why_not_honoured(config: GenerationConfig, own: GenerationConfig) -> str | None:
    """The settings of `config`, or of the model's own one where it is silent, that the sampler has not."""
    asked = []
    for name in vars(config):
        value = _value(config, own, name)
        neutral = value in (None, False, 0, [], {}) or (value == 1 and name not in _COUNTS)
        if name not in _HONOURED | _WITHOUT_EFFECT and not neutral:
            asked.append(f"{name} {value}")
    if _value(config, own, "max_new_tokens") is None:
        asked.append("no max_new_tokens")
    return ", ".join(asked) or None


def choice(config: GenerationConfig, own: GenerationConfig) -> NextTokenSampler:
    """The choice that `config` describes; what it leaves open is as the model's own config has it."""

    def value(name: str, default: Any = None) -> Any:
        found = _value(config, own, name)
        return default if found is None else found

    banned = list(value("suppress_tokens", []))
    ends = value("eos_token_id", [])
    ends = [ends] if isinstance(ends, int) else [int(end) for end in ends]
    pad = value("pad_token_id")
    sampled = bool(value("do_sample", False))
    processors = LogitsProcessorList()
    if value("repetition_penalty", 1.0) != 1.0:
        processors.append(RepetitionPenaltyLogitsProcessor(float(value("repetition_penalty"))))
    if banned:
        processors.append(SuppressTokensLogitsProcessor(banned))
    if sampled:
        processors += _warpers(
            value("temperature", 1.0), value("top_k", 50), value("top_p", 1.0), value("min_p", 0.0)
        )
    return NextTokenSampler(
        int(value("max_new_tokens")),
        sampled,
        processors,
        banned,
        ends,
        ends[0] if pad is None and ends else pad or 0,
    )


def _warpers(temperature: float, top_k: int, top_p: float, min_p: float) -> list[Any]:
    warpers: list[Any] = []
    if temperature != 1.0:
        warpers.append(TemperatureLogitsWarper(float(temperature)))
    if top_k:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p < 1.0:
        warpers.append(TopPLogitsWarper(float(top_p)))
    if min_p:
        warpers.append(MinPLogitsWarper(float(min_p)))
    return warpers


def _value(config: GenerationConfig, own: GenerationConfig, name: str) -> Any:
    value = getattr(config, name, None)
    return getattr(own, name, None) if value is None else value
