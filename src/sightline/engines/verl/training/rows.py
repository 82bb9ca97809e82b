"""verl's ragged rows -> `Rollouts`, and tensors [B, T] -> verl's ragged rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ....rollouts import Rollouts
from ..data.messages import shown_images

SCORE = "sightline_"
"""Before the name of a signal: its field in TransferQueue, a ragged [B, T]."""
OTHER_LOG_PROBS = "sightline_other_log_probs"
IMAGE_CHANGE = "sightline_image_change"
"""Field of how much a token's log-prob changes when its image is taken away; -1 where nobody looked."""
PAD = "pad"
"""verl begins the name of a prompt so that it pads a batch with."""
MASS = "sightline_placeholder_mass"
"""Field of the probability that multimodal placeholders had, which are never sampled."""
SCORED = "sightline_scored"
"""Field of 1 on every token of a row that was scored, 0 where it could not be."""


def plain(column: Any) -> list[Any]:
    """A column without tensors as a list, whatever class tensordict keeps it in."""
    return column.tolist() if hasattr(column, "tolist") else [getattr(item, "data", item) for item in column]


def real_rows(data: Any) -> list[int]:
    """Rows that were sampled, not those that verl pads a batch with."""
    return [row for row, uid in enumerate(plain(data["uid"])) if not uid.startswith(PAD)]


def rollouts_of(data: Any, rows: Sequence[int]) -> Rollouts:
    """These rows of verl's batch; the images of a prompt are decoded once and shared by its rollouts."""
    uids, chats, facts, sessions = (
        plain(data[name]) for name in ("uid", "raw_prompt", "extra_info", "session_id")
    )
    numbers = {uid: number for number, uid in enumerate(dict.fromkeys(uids))}
    prompts, responses, masks = (data[name].unbind() for name in ("prompts", "responses", "response_mask"))
    images: dict[str, list[Any]] = {}
    for row in rows:
        if uids[row] not in images:
            images[uids[row]] = shown_images(chats[row])
    device = prompts[0].device
    mask = pad_sequence([masks[row] for row in rows], batch_first=True).long()
    return Rollouts(
        prompt_ids=pad_sequence([prompts[row] for row in rows], batch_first=True, padding_side="left"),
        prompt_mask=pad_sequence(
            [torch.ones_like(prompts[row]) for row in rows], batch_first=True, padding_side="left"
        ),
        response_ids=pad_sequence([responses[row] for row in rows], batch_first=True) * mask,
        mask=mask,
        group_ids=torch.tensor([numbers[uids[row]] for row in rows], device=device),
        images=[images[uids[row]] for row in rows],
        sample_ids=[str(facts[row]["id"]) for row in rows],
        rollout_ids=torch.tensor([int(sessions[row]) for row in rows], device=device),
    )


def ragged(rows: Sequence[Tensor]) -> Tensor:
    """Rows of different lengths as the nested tensor that verl keeps."""
    return torch.nested.as_nested_tensor(list(rows), layout=torch.jagged)


def ragged_responses(data: Any, rows: Sequence[int], values: Tensor) -> Tensor:
    """`values` [len(rows), T] as one ragged row per row of `data`, 0 in rows that are not in `rows`."""
    place = {row: number for number, row in enumerate(rows)}
    lengths = data["responses"].offsets().diff().tolist()
    return ragged(
        [
            values[place[row], :length].clone() if row in place else values.new_zeros(length)
            for row, length in enumerate(lengths)
        ]
    )


def ragged_sequences(data: Any, rows: Sequence[int], values: Tensor) -> Tensor:
    """The same over prompt and response, where verl keeps a token's value one place to its left."""
    responses = ragged_responses(data, rows, values).unbind()
    lengths = data["prompts"].offsets().diff().tolist()
    return ragged(
        [
            torch.cat([response.new_zeros(length - 1), response, response.new_zeros(1)])
            for length, response in zip(lengths, responses, strict=True)
        ]
    )
