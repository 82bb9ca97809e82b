"""Prompts and their responses -> one packed row, and what it predicts -> one row per response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..generation.prompt_inputs import Prompts
from .attention import LAYOUT
from .layout import Bundle, Layout
from .rectangles import Ragged

_SHORT = 256
"""Prompts of up to so many tokens are padded to each other's length, longer ones run with their like."""


@dataclass(frozen=True)
class Packed:
    """A packed row [p1 | p2 | r1 | r2 | r3 | ...], without padding.

    Each prompt comes without its last token, each response with that token in front and without its own
    last, so that the places of responses predict their tokens. Hidden tokens of prompts are left out.
    """

    inputs: dict[str, Any]
    """Keyword arguments of a forward that `share_prompts` prepared; its states are [1, N, D]."""
    labels: Tensor
    """int64 [1, N], the tokens that are predicted."""
    shape: tuple[int, int]
    """R, T."""
    places: Tensor
    """int64 [N], where each of them stands in [R, T], row by row."""

    def by_response(self, values: Tensor) -> Tensor:
        """[1, N] -> [R, T], 0 where nothing was predicted."""
        rows, length = self.shape
        return values.new_zeros(rows * length).index_copy(0, self.places, values[0]).view(rows, length)


def pack(prompts: Prompts, owner: Tensor, ids: Tensor, lengths: Sequence[int]) -> Packed:
    """R responses `ids` [R, T] of `lengths` tokens behind their prompts, `owner` [R].

    A response of no tokens has no place in the row. Token types matter for families whose images are
    seen in both directions (`token_type_ids`).

    Raises:
        ValueError: a prompt is hidden to its end.
    """
    if not bool(prompts.attention_mask[:, -1].all()):
        raise ValueError("the last token of every prompt has to be there; prompts are padded on the left")
    visible = prompts.attention_mask.bool().clone()
    visible[:, -1] = False
    counts, owners = visible.sum(1).tolist(), owner.tolist()
    taken: list[Tensor] = []
    bundles: list[Bundle] = []
    for some in _alike(counts):
        rows = [row for row, prompt in enumerate(owners) if prompt in some and lengths[row] > 0]
        rows.sort(key=lambda row: -lengths[row])
        bundle, sources = _bundle(prompts, visible, some, owner, rows, lengths, ids.shape[1], _size(taken))
        bundles.append(bundle)
        taken += sources
    source = torch.cat(taken)
    prompt_tokens = prompts.input_ids.numel()
    predicting = (source >= prompt_tokens).nonzero().squeeze(1)
    places = source[predicting] - prompt_tokens
    layout = Layout(bundles, predicting, len(source))
    first = prompts.input_ids[owner, -1:]
    tokens = torch.cat([prompts.input_ids.flatten(), torch.cat([first, ids[:, :-1]], 1).flatten()])
    inputs = {
        "input_ids": tokens[source][None],
        "position_ids": _positions(prompts, owner, ids.shape[1])[..., source].unsqueeze(-2),
        # A mask of four dimensions is handed on as it is, so that none of L x L is ever made.
        "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool, device=source.device),
        LAYOUT: layout,
        **prompts.vision,
    }
    return Packed(inputs, ids.flatten()[places][None], (len(ids), ids.shape[1]), places)


def _size(parts: Sequence[Tensor]) -> int:
    return sum(len(part) for part in parts)


def _alike(counts: Sequence[int]) -> Iterator[range]:
    """Runs of prompts whose attention runs at once, by how many tokens they have."""
    start = 0
    for end in range(1, len(counts) + 1):
        together = end < len(counts) and (
            counts[end] == counts[start] or max(counts[start : end + 1]) <= _SHORT
        )
        if not together:
            yield range(start, end)
            start = end


def _bundle(
    prompts: Prompts,
    visible: Tensor,
    some: range,
    owner: Tensor,
    rows: Sequence[int],
    lengths: Sequence[int],
    longest: int,
    start: int,
) -> tuple[Bundle, list[Tensor]]:
    """A bundle of the prompts `some` and the responses `rows` that begins at `start`, and where its tokens
    come from: int64, places in the prompts [n · P] and, behind those, in the responses [R · T]."""
    device, width = visible.device, visible.shape[1]
    part = slice(some.start, some.stop)
    of_prompts = visible[part].flatten().nonzero().squeeze(1)
    ragged = Ragged.of(start, visible[part].sum(1).tolist(), device)
    chosen = torch.tensor(rows, dtype=torch.long, device=device)
    responses = Ragged.of(ragged.stop, [lengths[row] for row in rows], device)
    inside = (chosen[:, None] * longest + torch.arange(responses.width, device=device))[responses.valid]
    column = torch.arange(width, device=device).expand(len(some), -1)[visible[part]]
    blocks = _image_blocks(prompts, part, visible)
    alone = Ragged.of(0, ragged.lengths, device)
    bundle = Bundle(
        prompts=ragged,
        responses=responses,
        owner=owner[chosen] - some.start,
        column=alone.rectangle(column),
        begin=width - 1,
        blocks=None if blocks is None else alone.rectangle(blocks),
    )
    return bundle, [of_prompts + some.start * width, inside + visible.numel()]


def _image_blocks(prompts: Prompts, part: slice, visible: Tensor) -> Tensor | None:
    """int64, the number of the image that each visible token of some prompts belongs to, or -1."""
    types = prompts.types.get("token_type_ids")
    if types is None:
        return None
    image = types[part] == 1
    begins = image & ~torch.nn.functional.pad(image, (1, 0))[:, :-1]
    number = torch.where(image, begins.long().cumsum(1) - 1, -1)[visible[part]]
    return number if bool((number >= 0).any()) else None


def _positions(prompts: Prompts, owner: Tensor, length: int) -> Tensor:
    """Position ids of all prompts' tokens and, behind them, of all responses', [.., n · P + R · T]."""
    of_prompts = prompts.position_ids
    after = prompts.next_position[owner, None] + torch.arange(length - 1, device=owner.device)
    last = of_prompts[..., owner, -1:]
    own = torch.cat([last, after.expand(*last.shape[:-1], -1)], -1)
    return torch.cat([of_prompts.flatten(-2), own.flatten(-2)], -1)
