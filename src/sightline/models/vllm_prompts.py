"""A prompt as vLLM expands it beside the processor's: the same tokens, or a word."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

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
