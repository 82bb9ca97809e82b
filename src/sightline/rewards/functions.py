"""Rewards with TRL's signature: `f(completions, **columns) -> list[float]`, one number per completion.

`columns` holds the dataset's columns, one entry per completion: the gold in `answer`, further answers that
are as right in `accepted_answers`, the values of the options in `choices` where there are any. TRL adds
`log_metric(name, value)`, which is used if it is there. An engine adds `opening`: what the prompt has begun
of each response, a `<think>` where a chat template opens it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sightline.errors import UserError, unknown_name

from .accepted import grade_any
from .format import boxed_format, opening_of, papers_format, strict_format
from .pairs import both_right
from .user import load_reward
from .verdict import HOWS, UNDECIDED, Verdict
from .workers.pool import Pool

Reward = Callable[..., Sequence[float | None]]
"""None for a completion that could not be judged: it takes part in no batch."""


def accuracy_reward(protocol: str = "strict", pool: Pool | None = None) -> Reward:
    """1 for a response whose final answer is the gold in column `answer` or one of
    `accepted_answers`, 0 for any other, None for one that could not be judged (`undecided`).

    Logs `accuracy` (of those judged), `format` (the papers' pattern), `no_box`, `timeouts`, `undecided`,
    and the share of verdicts reached in each way as `decided/<how>`; all of them every time, so that
    their averages are shares.
    Raises `UserError` if the column is missing or holds anything but text and numbers.
    """

    def accuracy(completions: Sequence[Any], **columns: Any) -> list[float | None]:
        texts = [text_of(completion) for completion in completions]
        golds = _golds(columns, len(texts))
        choices = columns.get("choices") or [None] * len(texts)
        options = [[str(option) for option in given] if given else None for given in choices]
        more = columns.get("accepted_answers") or [None] * len(texts)
        every = [[gold, *map(str, given or ())] for gold, given in zip(golds, more, strict=True)]
        verdicts = grade_any(zip(texts, every, options, strict=True), protocol=protocol, pool=pool)
        _log_verdicts(columns.get("log_metric"), opened(texts, columns), verdicts)
        return [None if verdict.correct is None else float(verdict.correct) for verdict in verdicts]

    return may_be_undecided(of_answers_alone(accuracy))


def pair_reward(protocol: str = "strict", pool: Pool | None = None) -> Reward:
    """1 for a response that is right and whose partner on the other side of its minimal pair is, too.

    Logs what `accuracy_reward` logs, of single responses, and `pairs_right`. See `both_right`.
    """
    accuracy = accuracy_reward(protocol, pool)

    def pair(completions: Sequence[Any], **columns: Any) -> list[float | None]:
        found = both_right(accuracy(completions, **columns), columns)
        judged = [value for value in found if value is not None]
        if judged and (log := columns.get("log_metric")):
            log("pairs_right", sum(judged) / len(judged))
        return found

    return may_be_undecided(of_one_batch(pair))


def format_reward(strict: bool = False) -> Reward:
    """1 for a response of the right form, 0 for any other: the papers' pattern, or `strict_format`.

    Logs the share as `format` or `strict_format`.
    """
    return _form("strict_format", strict_format) if strict else _form("format", papers_format)


def _form(name: str, check: Callable[[str], bool]) -> Reward:
    def form(completions: Sequence[Any], **columns: Any) -> list[float | None]:
        texts = opened([text_of(completion) for completion in completions], columns)
        rewards: list[float | None] = [float(check(text)) for text in texts]
        if log := columns.get("log_metric"):
            log(name, sum(map(bool, rewards)) / max(len(rewards), 1))
        return rewards

    form.__name__ = name
    return of_answers_alone(form)


def mixed(weights: Mapping[str | Reward, float]) -> Reward:
    """A weighted sum of rewards, as PAPO's and PGPO's `mixed({"accuracy": 0.9, "format": 0.1})`.

    A key is one of `REWARDS`, a user's own as `load_reward` takes it, or a reward function. Each part
    logs its metrics. A completion that one part cannot judge has no sum: None. Raises `UserError` for an
    unknown name or a weight that is no finite number.
    """
    if not weights or not all(math.isfinite(weight) for weight in weights.values()):
        raise UserError(
            f"mixed rewards need at least one part, each with a finite weight, got {dict(weights)}"
        )
    parts = [(reward(part) if isinstance(part, str) else part, weight) for part, weight in weights.items()]

    def mixture(completions: Sequence[Any], **columns: Any) -> list[float | None]:
        scored = [part(completions, **columns) for part, _ in parts]
        return [_weighted(values, weights.values()) for values in zip(*scored, strict=True)]

    mixture.__name__ = "+".join(getattr(part, "__name__", type(part).__name__) for part, _ in parts)
    if any(is_of_one_batch(part) for part, _ in parts):
        of_one_batch(mixture)
    return may_be_undecided(mixture)


def may_be_undecided(function: Reward) -> Reward:
    """Mark a reward whose None says that a completion could not be judged, and not that another reward is
    for it (as TRL takes None): no other reward of such a completion counts."""
    function.none_is_undecided = True  # pyright: ignore[reportFunctionMemberAccess]
    return function


def of_answers_alone(function: Reward) -> Reward:
    """Mark a reward that reads a completion and its gold, and no other column of a row."""
    function.of_answers_alone = True  # pyright: ignore[reportFunctionMemberAccess]
    return function


def of_one_batch(function: Reward) -> Reward:
    """Mark a reward that compares responses of one training batch; an answer that comes alone has none."""
    function.of_one_batch = True  # pyright: ignore[reportFunctionMemberAccess]
    return function


def is_of_one_batch(function: Any) -> bool:
    """Whether a reward compares responses of one training batch."""
    return bool(getattr(function, "of_one_batch", False))


def marks(function: Any) -> dict[str, bool]:
    """What `may_be_undecided`, `of_answers_alone` and `of_one_batch` have said of a reward."""
    names = ("none_is_undecided", "of_answers_alone", "of_one_batch")
    return {name: True for name in names if getattr(function, name, False) is True}


def reads_whole_rows(functions: Iterable[Any]) -> bool:
    """Whether any reward may read any column of a row."""
    return not all(getattr(function, "of_answers_alone", False) for function in functions)


def compares_golds(names: Iterable[str]) -> bool:
    """Whether any reward of these names is a built-in accuracy, which golds that are no text cannot have."""
    return any(name in ACCURACIES for name in names)


def opened(texts: Sequence[str], columns: Mapping[str, Any]) -> list[str]:
    """Texts behind what their prompts have begun of them: the column `opening`, or the `<think>` in which the
    assistant's last message of a prompt ends."""
    begun = columns.get("opening") or [_begun_by(prompt) for prompt in columns.get("prompts") or ()]
    return [f"{o or ''}{text}" for o, text in zip(begun, texts, strict=True)] if begun else list(texts)


def _begun_by(prompt: Any) -> str:
    if isinstance(prompt, str):
        return opening_of(prompt)
    last = prompt[-1] if isinstance(prompt, Sequence) and prompt else None
    assistant = isinstance(last, Mapping) and last.get("role") == "assistant"
    return opening_of(text_of([last])) if assistant else ""


def undecided_columns(functions: Sequence[Any]) -> list[int]:
    """The places of the rewards that `may_be_undecided`."""
    return [place for place, one in enumerate(functions) if getattr(one, "none_is_undecided", False)]


def reward(name: str) -> Reward:
    """A reward by name: one of `REWARDS`, or `file.py:function` or `package:function`."""
    if ":" in name:
        return load_reward(name)
    if name not in REWARDS:
        raise unknown_name("reward", name, [*REWARDS, "file.py:function", "package:function"])
    return REWARDS[name]()


def text_of(completion: Any) -> str:
    """The text of a completion: a string, or the last message the assistant wrote in a chat.

    A message's content is a string or a list of parts, of which those with a `text` count.
    """
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Sequence) and all(isinstance(message, Mapping) for message in completion):
        said = [message.get("content") for message in completion if message.get("role") == "assistant"]
        content = said[-1] if said else ""
        if isinstance(content, str):
            return content
        if isinstance(content, Sequence):
            return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    raise UserError(f"a completion is a string or a list of chat messages, got {str(completion)[:200]!r}")


def _weighted(values: Sequence[float | None], weights: Iterable[float]) -> float | None:
    pairs = list(zip(values, weights, strict=True))
    known = [weight * value for value, weight in pairs if value is not None]
    return sum(known) if len(known) == len(pairs) else None


def _golds(columns: Mapping[str, Any], count: int) -> list[str]:
    golds = columns.get("answer")
    if golds is None:
        raise UserError(f"the accuracy reward needs a column 'answer', got the columns {sorted(columns)}")
    if len(golds) != count:
        raise UserError(f"column 'answer' has {len(golds)} entries for {count} completions")
    for row, gold in enumerate(golds):
        if isinstance(gold, bool) or not isinstance(gold, str | int | float):
            raise UserError(
                f"the accuracy reward compares text and numbers, but entry {row} is {type(gold).__name__} in "
                f"column 'answer': {gold!r:.200}; judge it by your own reward (rewards: file.py:function)"
            )
    return [str(gold) for gold in golds]


def _log_verdicts(
    log: Callable[[str, float], None] | None, texts: list[str], verdicts: list[Verdict]
) -> None:
    if log is None or not verdicts:
        return
    count = len(verdicts)
    ways = Counter(verdict.how for verdict in verdicts)
    judged = [verdict.correct for verdict in verdicts if verdict.correct is not None]
    if judged:
        log("accuracy", sum(judged) / len(judged))
    log("format", sum(papers_format(text) for text in texts) / count)
    log("no_box", ways["no box"] / count)
    log("timeouts", ways["timeout"] / count)
    log("undecided", ways[UNDECIDED] / count)
    for how in HOWS:
        log(f"decided/{how.replace(' ', '_')}", ways[how] / count)


ACCURACIES = ("accuracy", "mathruler", "pair")
"""Rewards that compare an answer with the gold."""
REWARDS: dict[str, Callable[[], Reward]] = {
    "accuracy": accuracy_reward,
    "mathruler": lambda: accuracy_reward("mathruler"),
    "pair": pair_reward,
    "format": format_reward,
    "strict_format": lambda: format_reward(strict=True),
    "boxed": lambda: _form("boxed", boxed_format),
}
