"""What the script of the inspect page knows of every token, in as few characters as it takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .inspected import Inspected, Inspection, OcclusionMap
from .numerals import percent
from .shades import Shade, words
from .tokens import MOST_TOKENS

DIGITS = 3
SAME = 1e-3
"""Nats of KL below which a view's alternatives are taken to be those with the picture."""
MOST_ALTERNATIVES = 250_000
"""Alternatives on one page, about 2.5 MB; beyond, tokens that depend least on the picture go without."""
PARTS = 10_000
"""Probabilities are whole numbers of this part."""


def details(
    found: Inspection, scales: Sequence[Shade], weights: Sequence[Shade]
) -> tuple[dict[str, Any], list[str]]:
    """Plain data for the script, and notes on what was left out of it.

    Per answer: numbers per score and method, log-probabilities, alternatives with the picture and under
    each view, maps. Alternatives are [place in the vocabulary, probability × 10,000].
    """
    views = ["image", *found.views]
    kls = {view: name for name, view in found.scores if view is not None and name.startswith("exact_kl/")}
    least, notes = _least(found, kls)
    table = _Table(found, views, kls, least)
    return {
        "scores": [_named(shade) for shade in scales],
        "methods": [_named(shade) | _reads(found, shade) for shade in weights],
        "views": [words(view) for view in found.views],
        "viewOf": [_view_of(found, shade) for shade in scales],
        "vocabulary": table.words,
        "answers": [_answer(one, scales, weights, views, table) for one in found.answers],
    }, notes


def _named(shade: Shade) -> dict[str, Any]:
    return {"title": words(shade.name), "letter": shade.letter}


def _reads(found: Inspection, shade: Shade) -> dict[str, Any]:
    for method in found.methods:
        if method.name == shade.name:
            names = ", ".join(words(name) for name in method.signals)
            return {"reads": names + (f" ({words(method.view)})" if method.view else "")}
    return {"reads": ""}


def _view_of(found: Inspection, shade: Shade) -> int | None:
    """The place among the views of the one that a score compares with."""
    view = dict(found.scores).get(shade.name)
    return found.views.index(view) if view in found.views else None


def _answer(
    one: Inspected, scales: Sequence[Shade], weights: Sequence[Shade], views: list[str], table: _Table
) -> dict[str, Any]:
    told = one.answer
    return {
        "count": len(told.tokens),
        "scores": [_numbers(shade.values(told)) for shade in scales],
        "weights": [_numbers(shade.values(told)) for shade in weights],
        "logProbs": _numbers(one.log_probs.get("image", ())),
        "likeliest": [table.alternatives(one, view) for view in views],
        "maps": [_map(shown) for shown in one.maps],
    }


def _numbers(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else _short(value) for value in values[:MOST_TOKENS]]


def _short(value: float) -> float:
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _map(shown: OcclusionMap) -> dict[str, Any]:
    return {"token": shown.token, "image": shown.image, "rows": shown.rows, "columns": shown.columns,
            "values": [_short(value) for value in shown.values]}  # fmt: skip


class _Table:
    """The alternatives' texts, each once, the most frequent first."""

    def __init__(self, found: Inspection, views: list[str], kls: dict[str, str], least: float) -> None:
        self._kls, self._least = kls, least
        counts: Counter[str] = Counter()
        for one in found.answers:
            for view in views:
                for token, listed in enumerate(one.likeliest.get(view, ())[:MOST_TOKENS]):
                    if self._wanted(one, view, token):
                        counts.update(text for text, _ in listed)
        self.words = [text for text, _ in counts.most_common()]
        self._places = {text: place for place, text in enumerate(self.words)}

    def alternatives(self, one: Inspected, view: str) -> dict[str, list[int]]:
        """Token -> [place, parts, place, parts, ...], without those that are left out."""
        shown = {}
        for token, listed in enumerate(one.likeliest.get(view, ())[:MOST_TOKENS]):
            if self._wanted(one, view, token):
                pairs = [(self._places[text], round(PARTS * share)) for text, share in listed]
                shown[str(token)] = [value for pair in pairs for value in pair]
        return shown

    def _wanted(self, one: Inspected, view: str, token: int) -> bool:
        depends = _dependency(one, self._kls, token)
        if depends < self._least:
            return False
        return view not in self._kls or _at(one, self._kls[view], token) >= SAME


def _dependency(one: Inspected, kls: dict[str, str], token: int) -> float:
    return max((_at(one, name, token) for name in kls.values()), default=math.inf)


def _at(one: Inspected, name: str, token: int) -> float:
    values = one.answer.scores.get(name, ())
    value = values[token] if token < len(values) else None
    return math.inf if value is None else value


def _least(found: Inspection, kls: dict[str, str]) -> tuple[float, list[str]]:
    """The smallest dependency of a token whose alternatives are kept, so that few enough are."""
    costs = []
    for one in found.answers:
        for token in range(min(len(one.answer.tokens), MOST_TOKENS)):
            listed = [
                len(tokens[token])
                for view, tokens in one.likeliest.items()
                if token < len(tokens) and (view not in kls or _at(one, kls[view], token) >= SAME)
            ]
            costs.append((_dependency(one, kls, token), sum(listed)))
    costs.sort(reverse=True)
    kept, total = 0, 0
    for _, cost in costs:
        total += cost
        if total > MOST_ALTERNATIVES:
            break
        kept += 1
    if kept == len(costs):
        return -math.inf, []
    share = percent(1 - kept / len(costs))
    note = (
        f"The likeliest alternatives of the {share} of tokens that depend least on the picture are left out."
    )
    return costs[kept][0] + 1e-12, [note]
