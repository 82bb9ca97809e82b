"""The data of every token for the inspect page's script, packed into few characters."""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from ..charts.number_format import percent
from ..readers.inspect_data import InspectedAnswer, Inspection, OcclusionMap
from .shading import Shade, words
from .strips import MOST_TOKENS

DIGITS = 3
MOST_ALTERNATIVES = 250_000
"""Alternatives on one page, about 2.5 MB. Beyond, those of views that change nothing are left out, and then
all those of the tokens that depend least on the image."""
SAME = 1e-3
"""Nats of KL below which a view is taken to change nothing."""
MOST_CELLS = 200_000
"""Cells of all occlusion maps on one page, about 1.2 MB; beyond, each answer keeps its first ones."""
ATTENDED = {"image": "image", "question": "question", "answer": "answer so far"}
"""What attention is shared between: its name in the data, and in words."""
PARTS = 10_000
"""Probabilities are whole numbers of this part."""


def details(
    found: Inspection, scales: Sequence[Shade], weights: Sequence[Shade], most: int = MOST_TOKENS
) -> tuple[dict[str, Any], list[str]]:
    """Plain data for the script about the first `most` tokens of each answer, and notes on what is left out.

    Per answer: numbers per score and method, log-probabilities, alternatives with the image and under
    each view, attention, maps. Alternatives are [place in the vocabulary, probability × 10,000].
    """
    views = ["image", *found.views]
    kls = {view: name for name, view in found.scores if view is not None and name.startswith("exact_kl/")}
    kept = _kept(found, kls, most)
    table = _Table(found, views, kept)
    cells, unmapped = _cells(found)
    return {
        "scores": [_named(shade) for shade in scales],
        "methods": [_named(shade) | _reads(found, shade) for shade in weights],
        "views": [words(view) for view in found.views],
        "viewOf": [_view_of(found, shade) for shade in scales],
        "vocabulary": table.words,
        "answers": [_answer(one, scales, weights, views, table, cells) for one in found.answers],
    }, [note for note in (kept.note, unmapped) if note]


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
    one: InspectedAnswer,
    scales: Sequence[Shade],
    weights: Sequence[Shade],
    views: list[str],
    table: _Table,
    cells: float,
) -> dict[str, Any]:
    told, most = one.answer, table.kept.most
    return {
        "count": len(told.tokens),
        "scores": [_numbers(shade.values(told), most) for shade in scales],
        "weights": [_numbers(shade.values(told), most) for shade in weights],
        "logProbs": _numbers(one.log_probs.get("image", ()), most),
        "likeliest": [table.alternatives(one, view) for view in views],
        "attention": [
            [name, _numbers(one.attention[key], most)]
            for key, name in ATTENDED.items()
            if key in one.attention
        ],
        "maps": [_map(shown) for shown in _first(one.maps, cells)],
    }


def _numbers(values: Sequence[float | None], most: int) -> list[float | None]:
    return [None if value is None else _short(value) for value in values[:most]]


def _short(value: float) -> float:
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _cells(found: Inspection) -> tuple[float, str]:
    """How many cells the maps of one answer may have together, and a note if that is too few for some."""
    total = sum(len(shown.values) for one in found.answers for shown in one.maps)
    if total <= MOST_CELLS:
        return math.inf, ""
    return MOST_CELLS / len(found.answers), (
        f"The occlusion maps have {total:,} cells; each answer keeps those of its highest tokens here."
    )


def _first(maps: Sequence[OcclusionMap], cells: float) -> list[OcclusionMap]:
    """The first maps that have no more than `cells` together, one at least."""
    ends = accumulate(len(shown.values) for shown in maps)
    return [
        shown for place, (shown, end) in enumerate(zip(maps, ends, strict=True)) if end <= cells or not place
    ]


def _map(shown: OcclusionMap) -> dict[str, Any]:
    return {"token": shown.token, "image": shown.image, "rows": shown.rows, "columns": shown.columns,
            "values": [_short(value) for value in shown.values]}  # fmt: skip


@dataclass(frozen=True)
class _Kept:
    """Which alternatives stand on the page."""

    kls: Mapping[str, str]
    """View -> the score that says how much it changes."""
    most: int
    """Tokens of an answer that are shown."""
    same: float = 0.0
    """Nats below which a view's alternatives are left out."""
    least: float = -math.inf
    """Nats below which, under every view, a token goes without."""
    note: str = ""

    def wanted(self, one: InspectedAnswer, view: str, token: int) -> bool:
        if self.dependency(one, token) < self.least:
            return False
        return view not in self.kls or _at(one, self.kls[view], token) >= self.same

    def dependency(self, one: InspectedAnswer, token: int) -> float:
        return max((_at(one, name, token) for name in self.kls.values()), default=math.inf)

    def cost(self, one: InspectedAnswer, token: int) -> int:
        """How many alternatives of a token are wanted."""
        return sum(
            len(tokens[token])
            for view, tokens in one.likeliest.items()
            if token < len(tokens) and self.wanted(one, view, token)
        )


def _at(one: InspectedAnswer, name: str, token: int) -> float:
    values = one.answer.scores.get(name, ())
    value = values[token] if token < len(values) else None
    return math.inf if value is None else value


def _kept(found: Inspection, kls: Mapping[str, str], most: int) -> _Kept:
    """Everything if it fits; else what changes anything; else what depends most on the image."""
    places = [(one, token) for one in found.answers for token in range(min(len(one.answer.tokens), most))]
    for kept in (_Kept(kls, most), _Kept(kls, most, SAME)):
        if sum(kept.cost(*place) for place in places) <= MOST_ALTERNATIVES:
            return kept
    costs = sorted(((kept.dependency(*place), kept.cost(*place)) for place in places), reverse=True)
    totals = list(accumulate(cost for _, cost in costs))
    fitting = bisect(totals, MOST_ALTERNATIVES)
    share = percent(1 - fitting / len(costs))
    note = f"The likeliest alternatives of the {share} of tokens that depend least on the image are left out."
    return replace(kept, least=costs[fitting][0] + 1e-12, note=note)


class _Table:
    """The alternatives' texts, each once, the most frequent first."""

    def __init__(self, found: Inspection, views: list[str], kept: _Kept) -> None:
        self.kept = kept
        counts: Counter[str] = Counter()
        for one in found.answers:
            for view in views:
                for _, listed in self._shown(one, view):
                    counts.update(text for text, _ in listed)
        self.words = [text for text, _ in counts.most_common()]
        self._places = {text: place for place, text in enumerate(self.words)}

    def alternatives(self, one: InspectedAnswer, view: str) -> dict[str, list[int]]:
        """Token -> [place, parts, place, parts, ...], without those that are left out."""
        shown = {}
        for token, listed in self._shown(one, view):
            pairs = [(self._places[text], round(PARTS * share)) for text, share in listed]
            shown[str(token)] = [value for pair in pairs for value in pair]
        return shown

    def _shown(self, one: InspectedAnswer, view: str) -> Iterator[tuple[int, tuple[tuple[str, float], ...]]]:
        for token, listed in enumerate(one.likeliest.get(view, ())[: self.kept.most]):
            if self.kept.wanted(one, view, token):
                yield token, listed
