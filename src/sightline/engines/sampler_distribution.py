"""Settings under which the sampler draws from another distribution than the trainer's log-probs are of."""

from __future__ import annotations

from typing import Any

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "top_p": (None, 1),
    "top_k": (None, 0, -1),
    "min_p": (None, 0),
    "repetition_penalty": (None, 1),
    "vllm_structured_outputs_regex": (None, ""),
}
"""Setting -> the values under which it leaves the distribution as it is."""
RESHAPING = ("presence_penalty", "frequency_penalty", "min_tokens", "logit_bias", "bad_words",
             "allowed_token_ids", "structured_outputs", "thinking_token_budget")  # fmt: skip
"""Keys of `generation_kwargs` that reshape vLLM's distribution wherever they are given."""


def reshaped_by(settings: Any) -> list[str]:
    """The settings, with their values, that cut or tilt what is sampled: truncation, penalties and bans.

    vLLM's log-probs are taken after them, the trainer's before; temperature is on both sides. The bans of
    multimodal placeholders, which every run has, are not among them.
    """
    found = []
    for name, neutral in _NEUTRAL.items():
        value = getattr(settings, name, None)
        if value not in neutral:
            found.append(f"{name} {value}")
    given = getattr(settings, "generation_kwargs", None) or {}
    return found + [f"generation_kwargs.{name}" for name in RESHAPING if given.get(name)]
