"""Problems put to a model, and its answers graded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...models.draw_views import draw_view
from ...models.generation.generate import Answer, Decoding, Prompt, generate
from ...models.loading import LoadedModel
from ...rewards import Verdict, grade_any
from ...rewards.pairs import PAIR
from ...rewards.verdict import UNDECIDED
from ...tasks.problem import Problem, Task
from ...views import PixelView
from ..statistics.intervals import Measured, proportion
from ..statistics.pairs import AnsweredPair, PairScores, pair_scores


@dataclass(frozen=True)
class AnsweredProblems:
    """Problems with one answer and one verdict each, in the same order."""

    problems: Sequence[Problem]
    answers: Sequence[Answer]
    verdicts: Sequence[Verdict]

    @property
    def accuracy(self) -> Measured:
        """Share of right answers with its interval; those that could not be judged are left out."""
        return proportion([one.correct for one in self.verdicts if one.correct is not None])

    def pairs(self) -> PairScores:
        """The scores of problems that come in minimal pairs; a pair that was not judged whole is left out."""
        sides: dict[str, list[int]] = {}
        for place, problem in enumerate(self.problems):
            sides.setdefault(str(problem.columns[PAIR]), []).append(place)
        found = []
        for name, places in sides.items():
            correct = [self.verdicts[place].correct for place in places]
            if len(places) == 2 and None not in correct:
                golds, answers = zip(
                    *((self.problems[i].answer, self.verdicts[i].answer) for i in places), strict=True
                )
                both = (bool(correct[0]), bool(correct[1]))
                found.append(AnsweredPair(golds, answers, both, name, self.problems[places[0]].choices))
        return pair_scores(found)


def answer(
    loaded: LoadedModel,
    task: Task,
    problems: Sequence[Problem],
    decoding: Decoding,
    *,
    blind: PixelView | None = None,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
) -> AnsweredProblems:
    """One graded answer per problem; with `blind`, the model sees every image through that view."""
    images: Sequence[Sequence[Any]] = [problem.images for problem in problems]
    if blind is not None:
        names = [problem.id for problem in problems]
        images = draw_view(blind, images, names, loaded.processor, seed=decoding.seed, step=0)
    prompts = [Prompt(task.messages(p), shown) for p, shown in zip(problems, images, strict=True)]
    answers = generate(
        loaded.model, loaded.processor, prompts, decoding, batch_size=batch_size, progress=progress
    )
    return AnsweredProblems(problems, answers, judged(problems, answers))


def judged(problems: Sequence[Problem], answers: Sequence[Answer]) -> list[Verdict]:
    """The strict grader's verdicts; undecided where the gold is no text, which only rewards can judge."""
    pairs = list(zip(problems, answers, strict=True))
    graded = iter(grade_any([(a.text, p.golds, p.choices) for p, a in pairs if p.gold is None]))
    no_text = Verdict(
        None, None, UNDECIDED, "the gold is a list or a mapping, which rewards of your own judge"
    )
    return [next(graded) if problem.gold is None else no_text for problem, _ in pairs]
