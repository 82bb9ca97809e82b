"""Several accepted answers: a response is right if its answer is any of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .grade import grade_many
from .verdict import Verdict
from .workers.pool import Pool

Asked = tuple[str, Sequence[str], Sequence[str] | None]
"""(response, golds of which any is right, choices)."""


def grade_any(items: Iterable[Asked], *, protocol: str = "strict", pool: Pool | None = None) -> list[Verdict]:
    """`grade_many` for items with one or several golds each.

    The first gold that accepts the answer decides. Without one, a gold that could not be compared leaves the
    response undecided, and otherwise the verdict is that of the first gold.

    Raises `ValueError` for an item without a gold, and what `grade_many` raises.
    """
    asked = [(response, list(golds), choices) for response, golds, choices in items]
    if not all(golds for _, golds, _ in asked):
        raise ValueError("an item has no gold; expected one or several")
    flat = [(response, gold, choices) for response, golds, choices in asked for gold in golds]
    verdicts = iter(grade_many(flat, protocol=protocol, pool=pool))
    return [_first([next(verdicts) for _ in golds]) for _, golds, _ in asked]


def _first(verdicts: Sequence[Verdict]) -> Verdict:
    accepting = next((verdict for verdict in verdicts if verdict.correct), None)
    open_ = next((verdict for verdict in verdicts if verdict.correct is None), None)
    return accepting or open_ or verdicts[0]
