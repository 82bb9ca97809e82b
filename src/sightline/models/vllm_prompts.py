"""A prompt as vLLM expands it beside the processor's: the same tokens, or a word."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ..errors import UserError


def image_runs(ids: Sequence[int], placeholder: int) -> list[int]:
    """How long each run of image tokens is."""
    return [len(list(same)) for token, same in groupby(ids) if token == placeholder]


def check_same_prompt(ours: Sequence[int], theirs: Sequence[int], family: str, instead: str) -> None:
    """Refuse a prompt that vLLM expands otherwise than the processor: the two would see other images.

    `ours` and `theirs` are its token ids, or the lengths of its runs of image tokens; `instead` names a
    sampler that is right.

    Raises:
        UserError: naming the family and where the two part.
    """
    if list(ours) == list(theirs):
        return
    shorter = min(len(ours), len(theirs))
    place = next((i for i in range(shorter) if ours[i] != theirs[i]), shorter)
    raise UserError(
        f"vLLM expands the images of a {family} prompt otherwise than its processor "
        f"({_beside(theirs, ours)}, different from place {place} on): the two would see different images; "
        f"use {instead}, or prompts of one image if only those with several are expanded differently"
    )


def _beside(theirs: Sequence[int], ours: Sequence[int]) -> str:
    if len(theirs) != len(ours):
        return f"{len(theirs)} against {len(ours)} tokens or runs of image tokens"
    return f"both {len(ours)} tokens or runs of image tokens"


def check_rotary_positions(config: Any) -> None:
    """Refuse a config whose rotary positions vLLM reads otherwise than transformers.

    transformers interleaves the axes of Qwen3-VL's positions always, vLLM where `mrope_interleaved` says so.

    Raises:
        UserError: the config does not say so.
    """
    rope = getattr(config.get_text_config(), "rope_parameters", None) or {}
    if (
        config.model_type.startswith("qwen3")
        and "mrope_section" in rope
        and not rope.get("mrope_interleaved")
    ):
        raise UserError(
            f"the config.json of this {config.model_type} has no mrope_interleaved: true in its "
            "rope_parameters: vLLM would place image tokens otherwise than transformers, which interleaves "
            "always; add it there"
        )


_APART = {
    "cohere2_vision": "it scales logits by the config's logit_scale, which transformers' forward does not",
    "gemma4": "its log-probs of a tiny model were up to 6 nats from transformers', which is not understood",
}
"""Families of which vLLM 0.31 was measured to sample another policy, and what is known of it."""


def check_same_policy(config: Any, instead: str) -> None:
    """Refuse a family that vLLM samples otherwise than transformers' forward, which is trained.

    `instead` names what samples right.

    Raises:
        UserError: naming the family and what differs.
    """
    check_rotary_positions(config)
    if config.model_type in _APART:
        raise UserError(
            f"vLLM samples {config.model_type} from another policy than transformers, which trains it: "
            f"{_APART[config.model_type]}; use {instead}"
        )
