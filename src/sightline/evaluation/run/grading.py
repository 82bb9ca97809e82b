"""Verdicts on stored generations: one file per protocol, made without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import UserError
from ...rewards import OF_EVERY_RUN, PROTOCOLS, Verdict, grade_any
from ...structure import FLAG, TEXT, Maybe, fault
from ..benchmarks.item import Item
from .benchmark_rules import by_own_rule
from .jsonl_records import Generation, read_generations, read_lines, write_lines
from .results_folder import ResultsFolder

_SCORE = {"correct": Maybe(FLAG), "answer": Maybe(TEXT), "how": TEXT, "why_not": Maybe(TEXT)}


@dataclass(frozen=True)
class Scored:
    """One sample with its problem and its verdict under one protocol."""

    item: Item
    generation: Generation
    correct: bool | None
    """None for a sample that failed or could not be judged: it is neither right nor wrong."""
    answer: str | None
    how: str
    why_not: str | None


def score(folder: ResultsFolder, protocol: str) -> list[Scored]:
    """Grade every generation by `protocol` and keep the verdicts in `scores-<protocol>.jsonl`."""
    generations, items = read_generations(folder.generations), folder.items()
    asked = [_item(items, generation, folder) for generation in generations]
    answered = [i for i, generation in enumerate(generations) if generation.text is not None]
    verdicts = grade_any(
        [(str(generations[i].text), asked[i].golds, asked[i].choices) for i in answered], protocol=protocol
    )
    found = {
        i: by_own_rule(verdict, asked[i], protocol) for i, verdict in zip(answered, verdicts, strict=True)
    }
    scored = [
        _scored(item, generation, found.get(index))
        for index, (item, generation) in enumerate(zip(asked, generations, strict=True))
    ]
    write_lines(folder.scores(protocol), [_line(one, protocol) for one in scored])
    return scored


def read_scores(folder: ResultsFolder, protocol: str) -> list[Scored]:
    """The stored verdicts of a protocol, held against the generations they are about.

    Raises:
        UserError: there are none, they are another protocol's, or about other generations.
    """
    again = f"run `sightline score {folder.path} --protocol {protocol}`"
    path = folder.scores(protocol)
    if not path.is_file():
        raise UserError(f"{folder.path} has no scores by {protocol}; {again}")
    rows, generations, items = read_lines(path), read_generations(folder.generations), folder.items()
    found: list[Scored] = []
    if len(rows) != len(generations):
        raise UserError(f"{path} has {len(rows)} verdicts on {len(generations)} generations; {again}")
    for number, (row, generation) in enumerate(zip(rows, generations, strict=True), 1):
        if wrong := fault(row, _SCORE):
            raise UserError(f"{path}, line {number}: {wrong}; {again}")
        if row.get("protocol") != protocol:
            raise UserError(f"{path}, line {number} is by protocol {row.get('protocol')}; {again}")
        if row.get("of") != _fingerprint(generation):
            raise UserError(f"{path}, line {number} is about another generation; {again}")
        found.append(
            Scored(
                _item(items, generation, folder), generation, row["correct"], row["answer"], row["how"],
                row["why_not"],
            )
        )  # fmt: skip
    return found


def all_scores(folder: ResultsFolder, grade: Sequence[str] = OF_EVERY_RUN) -> dict[str, list[Scored]]:
    """Verdicts by every protocol: graded anew for those in `grade`, the others as they are stored."""
    found = {}
    for protocol in PROTOCOLS:
        if protocol in grade:
            found[protocol] = score(folder, protocol)
        elif folder.scores(protocol).is_file():
            found[protocol] = read_scores(folder, protocol)
    return found


def _item(items: Mapping[str, Mapping[str, Item]], generation: Generation, folder: ResultsFolder) -> Item:
    try:
        return items[generation.benchmark][generation.problem]
    except KeyError:
        raise UserError(
            f"{folder.generations} answers {generation.problem} of {generation.benchmark}, which is not in "
            f"{folder.problems.name}; the folder mixes two runs"
        ) from None


def _scored(item: Item, generation: Generation, verdict: Verdict | None) -> Scored:
    if verdict is None:
        return Scored(item, generation, None, None, "failed", generation.failed)
    return Scored(item, generation, verdict.correct, verdict.answer, verdict.how, verdict.why_not)


def _line(scored: Scored, protocol: str) -> dict[str, Any]:
    benchmark, view, problem, sample = scored.generation.key
    return {
        "benchmark": benchmark, "view": view, "problem": problem, "sample": sample, "protocol": protocol,
        "correct": scored.correct, "answer": scored.answer, "how": scored.how, "why_not": scored.why_not,
        "of": _fingerprint(scored.generation),
    }  # fmt: skip


def _fingerprint(generation: Generation) -> str:
    text = repr([generation.key, generation.text])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
