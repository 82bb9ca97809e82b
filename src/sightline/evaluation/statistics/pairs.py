"""Minimal pairs: the same question about two images, and whether a model's answer follows the image.

A *relevant* pair has two different golds, an *irrelevant* one the same. Who answers by the question alone
gives one answer to both sides: at most half of a relevant pair, and never the pair.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...rewards import grade_many
from ...rewards.answers.latex import canonical
from .intervals import Estimate, clustered_share


@dataclass(frozen=True)
class AnsweredPair:
    """One answer to each side of a pair."""

    golds: tuple[str, str]
    answers: tuple[str | None, str | None]
    """What was taken for the answer; None where none was found."""
    correct: tuple[bool, bool]
    cluster: Hashable
    """The unit that was drawn: the pair, or what several pairs share."""
    choices: Sequence[str] | None = None
    weight: float = 1.0
    """1 over how often the pair was asked."""


@dataclass(frozen=True)
class PairScores:
    """Shares of pairs with 95 % intervals, clustered by pair."""

    right: Estimate
    """Pairs that are right on both sides."""
    relevant_right: Estimate
    """The same among relevant pairs, of which a guess from the question alone has none."""
    sensitivity: Estimate
    """Relevant pairs whose answers differ: the answer changes when it must."""
    stability: Estimate
    """Irrelevant pairs whose answers are the same: the answer stays when it must."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {name: asdict(getattr(self, name)) for name in ("right", "relevant_right", *CHANGES)}


CHANGES = ("sensitivity", "stability")


def pair_scores(pairs: Sequence[AnsweredPair]) -> PairScores:
    """The scores of answered pairs; a share without any pair of its kind is NaN.

    A side without an answer neither changed nor stayed: it counts against sensitivity and stability. Whether
    two answers are the same says the grader (1/2 and 0.5 are); where it does not decide, the pair is left out
    of the shares that ask for it.
    """
    alike_golds = same_answers([(*pair.golds, pair.choices) for pair in pairs])
    relevant = [same is False for same in alike_golds]
    alike = same_answers([(*pair.answers, pair.choices) for pair in pairs])
    given = [None not in pair.answers for pair in pairs]

    def share(values: Sequence[bool | None], chosen: Sequence[bool]) -> Estimate:
        kept = [
            (float(value), pair)
            for value, pair, wanted in zip(values, pairs, chosen, strict=True)
            if wanted and value is not None
        ]
        return clustered_share(
            [value for value, _ in kept],
            [pair.cluster for _, pair in kept],
            [pair.weight for _, pair in kept],
        )

    both = [all(pair.correct) for pair in pairs]
    changed = [None if same is None else known and not same for known, same in zip(given, alike, strict=True)]
    return PairScores(
        share(both, [True] * len(pairs)),
        share(both, relevant),
        share(changed, relevant),
        share(alike, [same is True for same in alike_golds]),
    )


def same_answers(
    asked: Sequence[tuple[str | None, str | None, Sequence[str] | None]],
) -> list[bool | None]:
    """Whether two answers to a question with these choices are the same; an answer that is None is like no
    other. None where the grader does not decide.
    """
    found: list[bool | None] = [
        a is not None and b is not None and canonical(a) == canonical(b) for a, b, _ in asked
    ]
    unlike = [
        place for place, (a, b, _) in enumerate(asked) if not found[place] and a is not None and b is not None
    ]
    verdicts = grade_many([(f"\\boxed{{{asked[i][0]}}}", str(asked[i][1]), asked[i][2]) for i in unlike])
    for place, verdict in zip(unlike, verdicts, strict=True):
        found[place] = verdict.correct
    return found
