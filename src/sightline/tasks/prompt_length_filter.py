"""Prompts that do not fit: left out whole and counted, never cut (a cut could go through an image)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, overload

from .problem import Problem, Task

log = logging.getLogger(__name__)

CountTokens = Callable[[list[dict[str, Any]], list[tuple[int, int]]], int]
"""(messages, [(width, height) of every image]) -> tokens of the prompt, images included."""


class FittingProblems(Sequence[Problem]):
    """The problems whose prompts fit, in their order."""

    def __init__(self, problems: Sequence[Problem], kept: Sequence[int], left_out: Sequence[tuple[str, int]]):
        self.problems, self.kept = problems, list(kept)
        self.left_out = list(left_out)
        """Id and length of every problem that was left out."""

    def __len__(self) -> int:
        return len(self.kept)

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> list[Problem]: ...
    def __getitem__(self, index: int | slice) -> Problem | list[Problem]:
        """Read one problem, or a list of them."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        return self.problems[self.kept[index]]


def fitting(
    task: Task,
    problems: Sequence[Problem],
    count_tokens: CountTokens,
    max_prompt_length: int,
    progress: Callable[[int], object] | None = None,
) -> FittingProblems:
    """The problems whose prompt has at most `max_prompt_length` tokens; the others are named in the log.

    Images are measured by their headers where the problems allow it, so nothing is decoded.
    `progress(1)` is called for every problem.
    """
    kept, left_out = [], []
    for index in range(len(problems)):
        problem, sizes = outline(problems, index)
        tokens = count_tokens(task.messages(problem), sizes)
        if tokens <= max_prompt_length:
            kept.append(index)
        else:
            left_out.append((problem.id, tokens))
            log.warning(
                "left out %s: its prompt has %d tokens, over %d", problem.id, tokens, max_prompt_length
            )
        if progress is not None:
            progress(1)
    return FittingProblems(problems, kept, left_out)


def outline(problems: Sequence[Problem], index: int) -> tuple[Problem, list[tuple[int, int]]]:
    """A problem and its images' sizes, undecoded where the problems can tell."""
    quick = getattr(problems, "outline", None)
    if quick is not None:
        return quick(index)
    problem = problems[index]
    return problem, [image.size for image in problem.images]
