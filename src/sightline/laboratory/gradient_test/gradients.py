"""The gradient of every method on the same rollout batches at a fixed checkpoint; nothing is trained."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...engines.credit import loss_terms
from ...errors import UserError
from ...evaluation.tokens.scored_samples import as_rollouts
from ...methods import Method, Needs
from ...models.generation.generate import Decoding, Prompt, generate
from ...models.generation.prompt_inputs import process, shown_prompts
from ...models.loading import LoadedModel
from ...models.scoring.hidden_states import Reading, SharedPrefix
from ...models.scoring.lm_head import gathered_head
from ...models.scoring.score import Scores, score
from ...objectives import group_advantages
from ...rewards import grade_any
from ...rollouts import Rollouts
from ...signals import token_statistics
from ...tasks.problem import Problem, Task
from ...views import Black
from ..study.plan import GradientTest
from .token_classes import PARTS, token_classes

EVEN = "even weights"


@dataclass(frozen=True)
class ScoredBatch:
    """One batch with everything that any weighting needs."""

    rollouts: Rollouts
    advantages: Tensor
    """float32 [B]."""
    roles: Mapping[str, Tensor]
    """`PARTS` -> bool [B, T], the tokens of the class."""
    correct: float


def draw_batch(loaded: LoadedModel, task: Task, test: GradientTest, number: int, longest: int) -> ScoredBatch:
    """Batch `number`: its own training problems, sampled at temperature 1 from seeds of its own."""
    first = number * test.prompts
    problems = task.train(None, 0)[first : first + test.prompts]
    rows: list[Problem] = [problem for problem in problems for _ in range(test.rollouts)]
    prompts = [Prompt(task.messages(problem), list(problem.images)) for problem in rows]
    decoding = Decoding(longest, temperature=1.0, seed=number)
    answers = generate(loaded.model, loaded.processor, prompts, decoding, batch_size=len(prompts))
    verdicts = grade_any([(a.text, p.golds, p.choices) for a, p in zip(answers, rows, strict=True)])
    tokenizer: Any = loaded.processor.tokenizer  # pyright: ignore[reportAttributeAccessIssue]
    rollouts = as_rollouts(
        answers, [p.images for p in rows], tokenizer.pad_token_id, [problem.id for problem in rows]
    )
    groups = torch.arange(test.prompts).repeat_interleave(test.rollouts)
    judged = torch.tensor([verdict.correct is not None for verdict in verdicts])
    rewards = torch.tensor([float(bool(verdict.correct)) for verdict in verdicts])
    advantages = torch.zeros(len(rows))  # of a rollout that could not be judged
    advantages[judged] = group_advantages(rewards[judged], groups[judged]).float()
    words = [[tokenizer.decode([token]) for token in one.token_ids] for one in answers]
    return ScoredBatch(
        replace(rollouts, group_ids=groups),
        advantages,
        token_classes([problem.kind for problem in rows], words, rollouts.mask.shape[1]),
        float(rewards[judged].mean()),
    )


def measurable(name: str, needs: Needs) -> None:
    """Refuse a method whose weights or gradient need what the gradient test does not have.

    Raises:
        UserError: it differentiates its second view, or reads several views or the course of training.
    """
    if needs.second_view_gradient:
        raise UserError(
            f"{name} differentiates its second view, which the gradient test cannot; leave it out"
        )
    if needs.named_views or needs.reads:
        asked = "several second views" if needs.named_views else ", ".join(sorted(needs.reads))
        raise UserError(f"{name} reads {asked}, which the gradient test does not have; leave it out")


def scored(
    loaded: LoadedModel, batch: ScoredBatch, wanted: Mapping[str, Needs], step: int
) -> dict[str, Scores]:
    """The scores that each of these needs; those of one view share a pass."""
    passes: dict[str, tuple[Needs, list[str]]] = {}
    for name, needs in wanted.items():
        key = repr((needs.view.plain() if needs.view else None, needs.layer))
        known, names = passes.get(key, (needs, []))
        passes[key] = (replace(known, signals=known.signals | needs.signals), [*names, name])
    found = {}
    for needs, names in passes.values():
        scores = score(
            loaded.model, loaded.processor, batch.rollouts, needs, seed=0, step=step, rows_per_pass=64
        )
        if scores.skipped:
            raise RuntimeError(f"rollouts could not be scored: {scores.skipped}")
        found |= dict.fromkeys(names, scores)
    return {name: found[name] for name in wanted}


def weightings(
    batch: ScoredBatch, methods: Mapping[str, Method], scores: Mapping[str, Scores]
) -> dict[str, tuple[Tensor, Scores]]:
    """Each method's weights [B, T] and the scores they come from."""
    rollouts = batch.rollouts
    return {
        name: (
            one.weights(scores[name].signals, rollouts.mask, rollouts.group_ids, rollouts.has_image),
            scores[name],
        )
        for name, one in methods.items()
    }


def bin_needs(names: Sequence[str]) -> dict[str, Needs]:
    """What the bins of each of these signals need: the signal, against a black image."""
    return {name: Needs(frozenset({name}), Black(), second_view_gradient=False) for name in names}


def log_probs(loaded: LoadedModel, rollouts: Rollouts) -> Tensor:
    """log π(o_t) [B, T] of the sampled tokens with a gradient, 0 at padding; a prompt runs once."""
    model: Any = loaded.model
    owners = torch.unique(rollouts.group_ids, return_inverse=True)[1]
    first = [int((owners == group).nonzero()[0]) for group in range(int(owners.max()) + 1)]
    images = process(model, loaded.processor, [rollouts.images[row] for row in first])
    prompts = shown_prompts(model, rollouts.prompt_ids[first], rollouts.prompt_mask[first], images)
    states = SharedPrefix(model, prompts, Reading()).respond(owners, rollouts.response_ids, rollouts.mask)
    mask = rollouts.mask.bool()
    with gathered_head(model) as head, head.precision():
        flat = token_statistics(
            states.predicting[mask], None, head.weight, head.bias, rollouts.response_ids[mask],
            logit_scale=head.scale, softcap=head.softcap,
        )["log_prob"]  # fmt: skip
    return torch.zeros(mask.shape).masked_scatter(mask, flat)


def batch_gradients(
    loaded: LoadedModel, batch: ScoredBatch, weighted: Mapping[str, tuple[Tensor, Scores]],
    methods: Mapping[str, Method], binned: Sequence[Sequence[Tensor]] = (),
) -> np.ndarray:  # fmt: skip
    """The gradient of each weighting on one batch, float32 [1 + methods + 3 + bins, P].

    Of the loss of the first optimizer step, −Σ w·A·log π / Σ mask plus the method's extra terms, whose ratio
    is 1; all are averaged over tokens. Row 0 has even weights; the three behind the methods, its `PARTS`, sum
    to it, and so do the bins [B, T] of every signal behind those.
    """
    parameters = [p for p in loaded.model.parameters() if p.requires_grad]
    logs, mask = log_probs(loaded, batch.rollouts), batch.rollouts.mask
    count = mask.sum()
    policy = batch.advantages[:, None] * logs

    def gradient(loss: Tensor) -> np.ndarray:
        found = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
        return torch.cat([part.flatten() for part in found]).numpy()

    parts = [gradient(-(policy * batch.roles[name]).sum() / count) for name in PARTS]
    rows = [np.sum(parts, axis=0)]
    for name, (weights, scores) in weighted.items():
        loss = -(policy * weights).sum() / count
        other = scores.other_log_probs
        for term in loss_terms(methods[name]):
            values = term.function(logs, torch.zeros_like(logs) if other is None else other, mask)
            loss = loss + term.coefficient * values.sum() / count
        rows.append(gradient(loss))
    for bins in binned:
        others = [gradient(-(policy * kept).sum() / count) for kept in bins[:-1]]
        parts += [*others, rows[0] - np.sum(others, axis=0)]  # the last is what is left of the whole
    return np.stack([*rows, *parts])


class GradientFile:
    """Gradients [B, M, P] as float32 on disk, batch after batch, so that a killed test goes on.

    They lie in a folder that git ignores, since they are gigabytes that nobody keeps.
    """

    def __init__(self, folder: Path, batches: int, rows: int, size: int):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        path = folder / "gradients.f32"
        shape = (batches, rows, size)
        self.continued = path.is_file() and path.stat().st_size == 4 * int(np.prod(shape))
        self.values = np.memmap(path, np.float32, "r+" if self.continued else "w+", shape=shape)

    def write(self, batch: int, gradients: np.ndarray) -> None:
        """Keep one batch."""
        self.values[batch] = gradients
        self.values.flush()

    def remove(self) -> None:
        """Delete them."""
        del self.values
        shutil.rmtree(self.folder)


def weight_shares(weights: Tensor, batch: ScoredBatch) -> dict[str, float]:
    """The share of a weighting's whole weight that lies on each class of tokens."""
    total = float(weights.sum())
    return {
        name: float((weights * kept).sum()) / total if total else 0.0 for name, kept in batch.roles.items()
    }
