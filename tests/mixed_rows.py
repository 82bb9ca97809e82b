"""Problems of the embedded world, some of them without their image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sightline.tasks import Problem, ShapesTask


class SomeWithoutImages(ShapesTask):
    """Shapes problems, of which those at `without` are put as text alone."""

    def __init__(self, without: Sequence[int]):
        super().__init__()
        self.without = set(without)

    def train(self, count: int | None, seed: int) -> Sequence[Problem]:
        problems = list(super().train(count, seed))
        return [
            Problem(f"text-{n}", p.question, (), p.answer, kind=p.kind) if n in self.without else p
            for n, p in enumerate(problems)
        ]

    def messages(self, problem: Problem) -> list[dict[str, Any]]:
        if problem.images:
            return super().messages(problem)
        return [{"role": "user", "content": [{"type": "text", "text": problem.question}]}]
