"""A few answered problems with every token scored, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...image_addresses import png_address
from ...methods import Needs
from ...models.generation.generate import Answer
from ...models.loading import LoadedModel
from ...models.scoring.score import score
from ...rollouts import Rollouts
from ...views import Black
from ..run.answer_and_grade import AnsweredProblems

SIGNALS = ("visual_focus", "exact_kl")


def scored_samples(
    loaded: LoadedModel, answered: AnsweredProblems, count: int, seed: int
) -> list[dict[str, Any]]:
    """The first `count` answers as plain data: text, tokens, and per token its visual focus and its
    exact KL between the policy with the image and with a black one."""
    answers = list(answered.answers)[:count]
    problems = list(answered.problems)[:count]
    if not answers:
        return []
    rollouts = as_rollouts(
        answers, [problem.images for problem in problems], loaded.processor.tokenizer.pad_token_id,
        [problem.id for problem in problems],
    )  # fmt: skip
    needs = Needs(frozenset(SIGNALS), Black(), second_view_gradient=False)
    scores = score(loaded.model, loaded.processor, rollouts, needs, seed=seed, step=0).signals
    return [
        {
            "text": one.text,
            "correct": verdict.correct,
            "tokens": [loaded.processor.tokenizer.decode([token]) for token in one.token_ids],
            "scores": {name: scores[name][row, : len(one.token_ids)].tolist() for name in SIGNALS},
        }
        for row, (one, verdict) in enumerate(zip(answers, answered.verdicts, strict=False))
    ]


def sample_rows(answered: AnsweredProblems, count: int) -> list[dict[str, Any]]:
    """The first `count` problems as plain data, images as data URLs."""
    return [
        {
            "id": problem.id,
            "kind": problem.kind,
            "question": problem.question,
            "answer": problem.answer,
            "images": [png_address(image.convert("RGB"), optimize=True) for image in problem.images],
        }
        for problem in list(answered.problems)[:count]
    ]


def as_rollouts(
    answers: Sequence[Answer], images: Sequence[Sequence[Any]], pad: int, sample_ids: Sequence[str]
) -> Rollouts:
    """Answers as a batch: prompts padded on the left, responses on the right, one group per answer."""
    prompts = _pad([torch.tensor(a.prompt_ids) for a in answers], pad, left=True)
    responses = _pad([torch.tensor(a.token_ids, dtype=torch.long) for a in answers], pad, left=False)
    return Rollouts(
        prompt_ids=prompts[0],
        prompt_mask=prompts[1],
        response_ids=responses[0],
        mask=responses[1],
        group_ids=torch.arange(len(answers)),
        images=[list(shown) for shown in images],
        sample_ids=list(sample_ids),
    )


def _pad(rows: Sequence[Tensor], value: int, *, left: bool) -> tuple[Tensor, Tensor]:
    width = max(max(len(row) for row in rows), 1)
    ids = torch.full((len(rows), width), value, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for index, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        ids[index, where] = row
        mask[index, where] = 1
    return ids, mask
