"""Held-out accuracy and visual dependence, measured while a run trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...engines.progress import Moment, Watcher
from ...errors import UserError
from ...evaluation.run.answer_and_grade import AnsweredProblems, answer
from ...evaluation.run.jsonl_records import append_lines, read_lines, write_lines
from ...evaluation.tokens.scored_samples import as_rollouts
from ...evaluation.tokens.token_summaries import share_of_half
from ...late_over_early import half_means, late_over_early
from ...methods import Needs
from ...models.generation.generate import Decoding
from ...models.loading import LoadedModel
from ...models.scoring.score import score
from ...run_folder import finite
from ...signals import SIGNALS
from ...tasks import WorldTask
from ...tasks.problem import Problem, Task
from ...views import Black
from .plan import Evaluation

FOCUS, DEPENDENCY = "visual_focus", "exact_kl"
_AT_ONCE = 256
_UNDECIDED = "?"


def held_out_problems(task: Task, evaluation: Evaluation) -> list[Problem]:
    """The problems that every run of a study is measured on.

    Raises:
        UserError: the task has no such split.
    """
    draw = getattr(task, evaluation.split, None)
    if evaluation.split not in ("dev", "test") or draw is None:
        raise UserError(f"task {task.name!r} has no split {evaluation.split!r} to evaluate on; expected "
                        "test, or dev where a task has it")  # fmt: skip
    return list(draw(evaluation.problems, evaluation.seed))


def held_out_pairs(task: Task, evaluation: Evaluation) -> list[Problem]:
    """Both sides of the minimal pairs that every run of a study is measured on; none if it asks for none.

    Raises:
        UserError: the task draws no pairs.
    """
    if evaluation.pairs == 0:
        return []
    if not isinstance(task, WorldTask):
        raise UserError(f"task {task.name!r} draws no minimal pairs, which evaluate: pairs asks for; "
                        "expected an embedded world, or pairs: 0")  # fmt: skip
    split: Any = evaluation.split
    return list(task.pairs(split, evaluation.pairs, evaluation.seed))


def measured(
    loaded: LoadedModel, task: Task, problems: Sequence[Problem], evaluation: Evaluation, longest: int,
    pairs: Sequence[Problem] = (),
) -> dict[str, Any]:  # fmt: skip
    """What a model does on held-out problems, always from the same random numbers.

    `greedy`, `sampled` (temperature 1, the mean over `samples` answers) and `blind` (greedy, a black
    image) accuracy, shares in [0, 1]; `answer_tokens` per greedy answer; and of the first `scored` greedy
    answers, against a black image: `dependency`, the mean exact KL per token in nats, `half_of_kl`, the
    share of tokens, largest first, that hold half of it, and `late_over_early`, the mean visual focus of
    second halves over that of first halves, each answer counted once.

    `greedy_right` and `sampled_right` say of every problem how many of its answers were right, a digit each
    (of ten answers and more, numbers with spaces between), `?` where one of its answers was not judged. Of
    greedy answers to both sides of `pairs`, where there are any: `pairs_right`, `relevant_pairs_right`,
    `sensitivity` and `stability`.
    """
    greedy = Decoding(longest)
    often = [problem for problem in problems for _ in range(evaluation.samples)]
    plain = answer(loaded, task, problems, greedy, batch_size=_AT_ONCE)
    sampled = answer(loaded, task, often, Decoding(longest, temperature=1.0), batch_size=_AT_ONCE)
    blind = answer(loaded, task, problems, greedy, blind=Black(), batch_size=_AT_ONCE)
    return {
        "greedy": plain.accuracy.value,
        "sampled": sampled.accuracy.value,
        "blind": blind.accuracy.value,
        "answer_tokens": sum(len(one.token_ids) for one in plain.answers) / len(plain.answers),
        "greedy_right": rights(plain, 1),
        "sampled_right": rights(sampled, evaluation.samples),
        **(_paired(answer(loaded, task, pairs, greedy, batch_size=_AT_ONCE)) if pairs else {}),
        **(_looking(loaded, plain, evaluation.scored) if evaluation.scored else {}),
    }


def rights(answered: AnsweredProblems, samples: int) -> str:
    """How many of a problem's answers, which stand together, are right: one number a problem, or `?` where
    one of them was not judged."""
    hits = [one.correct for one in answered.verdicts]
    of_problems = [hits[start : start + samples] for start in range(0, len(hits), samples)]
    counts = [_UNDECIDED if None in asked else str(sum(map(bool, asked))) for asked in of_problems]
    return ("" if samples < 10 else " ").join(counts)


def read_rights(text: str) -> list[float]:
    """What `rights` wrote; NaN for `?`."""
    marks = text.split() if " " in text else text
    return [float("nan") if one == _UNDECIDED else float(one) for one in marks]


def _paired(answered: AnsweredProblems) -> dict[str, float | None]:
    found = answered.pairs()
    return {
        "pairs_right": found.right.value,
        "relevant_pairs_right": found.relevant_right.value,
        "sensitivity": found.sensitivity.value,
        "stability": found.stability.value,
    }


def _looking(loaded: LoadedModel, answered: AnsweredProblems, count: int) -> dict[str, float | None]:
    answers, problems = list(answered.answers)[:count], list(answered.problems)[:count]
    rollouts = as_rollouts(
        answers,
        [problem.images for problem in problems],
        loaded.processor.tokenizer.pad_token_id,  # pyright: ignore[reportAttributeAccessIssue]
        [problem.id for problem in problems],
    )
    needs = Needs(frozenset({FOCUS, DEPENDENCY}), Black(), second_view_gradient=False)
    scores = score(loaded.model, loaded.processor, rollouts, needs, seed=0, step=0, rows_per_pass=64).signals
    mask = rollouts.mask.bool()
    focus = SIGNALS[FOCUS].score(scores[FOCUS].double())
    halves = [half_means(row[valid].numpy()) for row, valid in zip(focus, mask, strict=True)]
    dependency = scores[DEPENDENCY].double()[mask]
    return {
        "dependency": float(dependency.mean()),
        "half_of_kl": share_of_half(dependency.numpy()),
        "late_over_early": late_over_early([pair for pair in halves if pair is not None]),
    }


class HeldOut(Watcher):
    """Appends a line to evaluations.jsonl before the first step, every few steps, and after the last.

    A line also says what training took up to there: `cpu_seconds` of this process and `seconds` on the
    clock, both without measuring. `step` is called after every optimizer step.
    """

    def __init__(
        self,
        path: Path,
        every: int,
        measure: Callable[[LoadedModel], dict[str, Any]],
        step: Callable[[], object],
    ):
        self.path, self.every, self.measure, self.step = path, every, measure, step
        self.loaded: LoadedModel | None = None
        self._spent = {"seconds": 0.0, "cpu_seconds": 0.0}
        self._began = (0.0, 0.0)

    def begin(self, now: Moment) -> None:
        """Drop what an interrupted run wrote after its checkpoint, and measure the start."""
        rows = []
        if self.path.is_file():
            rows = [row for row in read_lines(self.path) if row["step"] <= now.step]
            self._spent = {name: rows[-1][name] for name in self._spent} if rows else self._spent
        write_lines(self.path, rows)
        if not rows:
            self._write(now.step, now.model)

    def step_begins(self, now: Moment) -> None:
        self._began = (time.perf_counter(), time.process_time())

    def step_ends(self, now: Moment) -> None:
        ended_at = (time.perf_counter(), time.process_time())
        for name, begun, ended in zip(self._spent, self._began, ended_at, strict=True):
            self._spent[name] += ended - begun
        if now.step % self.every == 0 or now.step == now.steps:
            self._write(now.step, now.model)
        self.step()

    def _write(self, step: int, model: Any) -> None:
        assert self.loaded is not None
        rng = torch.get_rng_state()
        found = self.measure(replace(self.loaded, model=model))
        torch.set_rng_state(rng)  # a measured run trains with the numbers of one that was not
        spent = {name: round(value, 3) for name, value in self._spent.items()}
        append_lines(self.path, [finite({"step": step, **found, **spent})])
