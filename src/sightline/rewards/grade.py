r"""The grader: is this response's final answer the gold answer?

Everyday answers are decided here, in microseconds; the rest goes to the worker processes of a pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import NoReturn

from .answers.rules.comparison import Undecided
from .protocols import decide_by, extract, without_box
from .verdict import UNDECIDED, Question, Verdict
from .workers.pool import Pool

Item = tuple[str, str] | tuple[str, str, Sequence[str] | None]
"""(response, gold) or (response, gold, choices)."""

SHARED = Pool()
"""The pool of this process; it starts its workers when it is first asked."""


def grade(
    response: str,
    gold: str,
    choices: Sequence[str] | None = None,
    *,
    protocol: str = "strict",
    pool: Pool | None = None,
) -> Verdict:
    r"""Whether a response's final answer is the gold answer.

    The answer is the last balanced `\boxed{…}` after the last `</think>`; without one it is wrong. A gold
    letter, or any gold with `choices` (the values of A, B, …), is compared as an option: by letter, or by
    the one choice whose value equals the answer. Everything else is compared by structure, exact
    numbers and words, and finally by math-verify in a worker process that may compute for 1 second (more
    is "timeout", which is wrong). The clock decides nothing: a busy machine gives the same verdicts, later.
    Where a worker is stopped or killed from outside, and again when asked a second time, `correct` is None
    ("undecided"). Nothing is evaluated, and nothing is accepted for being contained.

    Safe from any thread. Raises `TypeError` if an argument is no text, `UserError` for an unknown protocol.
    """
    return grade_many([(response, gold, choices)], protocol=protocol, pool=pool)[0]


def grade_many(items: Iterable[Item], *, protocol: str = "strict", pool: Pool | None = None) -> list[Verdict]:
    """`grade` for many items, in order; what needs a worker is asked in parallel, equal questions once.

    `pool` is by default one that all callers of this process share; it is started when first needed.
    """
    asked: dict[Question, Future[Verdict]] = {}
    try:
        begun = [_begun(*_checked(item), protocol, pool or SHARED, asked) for item in items]
        return _settled(begun, asked, pool or SHARED)
    except BaseException:
        for future in asked.values():
            future.cancel()  # an interrupted call leaves nothing queued
        raise


def _begun(
    response: str,
    gold: str,
    choices: tuple[str, ...],
    protocol: str,
    pool: Pool,
    asked: dict[Question, Future[Verdict]],
) -> Verdict | Future[Verdict]:
    """The verdict, or the answer to come from a worker; `asked` holds what has been asked already."""
    answer = extract(response, protocol)
    if answer is None:
        return without_box(protocol, gold)
    try:
        return decide_by(protocol, answer, gold, choices, _undecided)
    except Undecided:
        question = Question(protocol, answer, gold, choices)
        if question not in asked:
            asked[question] = pool.submit(question)
        return asked[question]


def _settled(
    begun: list[Verdict | Future[Verdict]], asked: dict[Question, Future[Verdict]], pool: Pool
) -> list[Verdict]:
    """The verdicts, once all are there; what was not decided is asked again, alone and last."""
    found = {question: future.result() for question, future in asked.items()}
    for question, verdict in found.items():
        if verdict.how in (UNDECIDED, "crash"):
            found[question] = pool.again(question)
    answers = {future: found[question] for question, future in asked.items()}
    return [answers[verdict] if isinstance(verdict, Future) else verdict for verdict in begun]


def _undecided(gold: str, answer: str) -> NoReturn:
    raise Undecided


def _checked(item: Item) -> tuple[str, str, tuple[str, ...]]:
    response, gold, choices = item if len(item) == 3 else (*item, None)
    for name, value in (("response", response), ("gold", gold)):
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a string, got {type(value).__name__}: {str(value)[:80]!r}")
    if isinstance(choices, str) or not all(isinstance(choice, str) for choice in choices or ()):
        raise TypeError(
            f"choices must be a list of strings (the values of A, B, ...) or None, got {choices!r}"
        )
    return response, gold, tuple(choices or ())
