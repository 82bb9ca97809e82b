"""Problems put to a model, and its answers graded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..models.generation import Answer, Decoding, Prompt, generate
from ..models.loading import LoadedModel
from ..rewards import Verdict, grade_many
from ..tasks.problem import Problem, Task
from ..views import View, generator
from .statistics import Measured, proportion


@dataclass(frozen=True)
class Answered:
    """Problems with one answer and one verdict each, in the same order."""

    problems: Sequence[Problem]
    answers: Sequence[Answer]
    verdicts: Sequence[Verdict]

    @property
    def accuracy(self) -> Measured:
        """Share of right answers with its interval."""
        return proportion([verdict.correct for verdict in self.verdicts])


def answer(
    loaded: LoadedModel,
    task: Task,
    problems: Sequence[Problem],
    decoding: Decoding,
    *,
    blind: View | None = None,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> Answered:
    """One graded answer per problem; with `blind`, the model sees every picture through that view."""
    shown = [seen(problem, blind, decoding.seed) for problem in problems]
    prompts = [Prompt(task.messages(problem), problem.images) for problem in shown]
    answers = generate(
        loaded.model, loaded.processor, prompts, decoding, batch_size=batch_size, progress=progress
    )
    verdicts = grade_many([(a.text, p.answer, p.choices) for a, p in zip(answers, problems, strict=True)])
    return Answered(problems, answers, verdicts)


def seen(problem: Problem, view: View | None, seed: int) -> Problem:
    """The problem with its pictures as `view` shows them (drawn from the seed and the problem's id)."""
    if view is None:
        return problem
    random = generator(seed, 0, problem.id)
    return replace(problem, images=tuple(view.apply(image, random) for image in problem.images))
