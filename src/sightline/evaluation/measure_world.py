"""What a model does in an embedded world: how often it is right, what it misreads, where looking counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UserError
from ..methods import Needs
from ..models.embedded.accuracies import black_images, is_right
from ..models.generation.generate import Answer, Decoding, Prompt, generate
from ..models.loading import LoadedModel
from ..models.scoring.score import score
from ..tasks import Role, Task, token_roles
from ..tasks.shapes import Example, WorldTask
from ..tasks.shapes2 import PuzzleExample
from ..views import Black
from .tokens.scored_samples import as_rollouts

KL, ENTROPY = "exact_kl", "entropy"


@dataclass(frozen=True)
class RoleShares:
    """One role's part of all sampled tokens; means in nats."""

    tokens: float
    """Share of the tokens."""
    kl: float
    """Share of the whole exact KL from the policy with the image to that with a black one."""
    mean_kl: float
    mean_entropy: float


@dataclass(frozen=True)
class WorldMeasures:
    """All shares in [0, 1], over problems or over sampled tokens."""

    problems: int
    accuracy: dict[str, float]
    """`greedy`, `sampled` (temperature 1), `blind` (greedy, on black images)."""
    greedy_by_kind: dict[str, float]
    prior: float | None
    """Problems whose answer is the one that the question alone suggests; None in the first world."""
    misread: float
    """Wrong sampled answers whose readings are not those of the image; NaN if none is wrong."""
    length: float
    """Mean tokens of a sampled response."""
    roles: dict[str, RoleShares]


def measure_world(
    loaded: LoadedModel, task: Task, split: Any, count: int, seed: int, longest: int
) -> WorldMeasures:
    """Ask `count` problems of a split greedily, once at temperature 1 and once blind; score the sampled ones.

    Raises:
        UserError: the task is no embedded world, or `count` is below 1.
    """
    if not isinstance(task, WorldTask):
        raise UserError(f"task {task.name} is no embedded world; expected shapes or shapes-2")
    if count < 1:
        raise UserError(f"a world is measured on at least one problem; --limit is {count}")
    examples = task.examples(split, count, seed)[:]
    problems = getattr(task, split)(count, seed)[:]
    seen = [Prompt(task.messages(problem), problem.images) for problem in problems]
    blind = [Prompt(task.messages(problem), black_images(problem)) for problem in problems]

    def ask(prompts: list[Prompt], temperature: float) -> list[Answer]:
        decoding = Decoding(longest, temperature, seed=seed)
        return generate(loaded.model, loaded.processor, prompts, decoding, batch_size=128)

    def right(answers: list[Answer]) -> list[bool]:
        return [is_right(answer.text, problem) for answer, problem in zip(answers, problems, strict=True)]

    greedy, sampled = right(ask(seen, 0.0)), ask(seen, 1.0)
    said = [[loaded.processor.tokenizer.decode([token]) for token in one.token_ids] for one in sampled]  # pyright: ignore[reportAttributeAccessIssue]
    roles = [token_roles(problem.kind, words) for problem, words in zip(problems, said, strict=True)]
    by_kind: defaultdict[str, list[bool]] = defaultdict(list)
    for problem, hit in zip(problems, greedy, strict=True):
        by_kind[problem.kind].append(hit)
    hits = right(sampled)
    wrong = [row for row, hit in enumerate(hits) if not hit]
    misread = [_readings(said[row], roles[row]) != _true_readings(examples[row]) for row in wrong]
    puzzles = [example.puzzle for example in examples if isinstance(example, PuzzleExample)]
    return WorldMeasures(
        problems=count,
        accuracy={"greedy": _mean(greedy), "sampled": _mean(hits), "blind": _mean(right(ask(blind, 0.0)))},
        greedy_by_kind={kind: _mean(found) for kind, found in sorted(by_kind.items())},
        prior=_mean([puzzle.answer == puzzle.usual_answer for puzzle in puzzles]) if puzzles else None,
        misread=_mean(misread),
        length=_mean([len(words) for words in said]),
        roles=_role_shares(loaded, sampled, problems, roles, seed),
    )


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _readings(words: Sequence[str], roles: Sequence[Role]) -> list[str]:
    """What was read, in any order."""
    return sorted(word for word, role in zip(words, roles, strict=True) if role is Role.READ)


def _true_readings(example: Example) -> list[str]:
    return sorted(word.text for word in example.response if word.role is Role.READ)


def _role_shares(
    loaded: LoadedModel, answers: list[Answer], problems: Sequence[Any], roles: list[list[Role]], seed: int
) -> dict[str, RoleShares]:
    pad = loaded.processor.tokenizer.pad_token_id  # pyright: ignore[reportAttributeAccessIssue]
    rollouts = as_rollouts(answers, [p.images for p in problems], pad, [p.id for p in problems])
    needs = Needs(frozenset({KL, ENTROPY}), Black(), second_view_gradient=False)
    scores = score(loaded.model, loaded.processor, rollouts, needs, seed=seed, step=0).signals
    rows = [(row, place) for row, one in enumerate(roles) for place in range(len(one))]
    flat = np.array([role for one in roles for role in one])
    kl, entropy = (np.array([float(scores[name][at]) for at in rows]) for name in (KL, ENTROPY))
    shares = {}
    for role in Role:
        these = flat == role
        shares[role.value] = RoleShares(
            _mean(these), float(kl[these].sum() / kl.sum()), _mean(kl[these]), _mean(entropy[these])
        )
    return shares
