"""Graded samples of a results folder: a choice to look at, with images and every verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...image_addresses import data_address
from ...plain_files import Refused, parse_json
from ...structure import fault
from ..charts.number_format import counted
from .confined_files import open_inside, signature
from .embedded_images import EmbeddedImage, embedded_image
from .metrics import MOST_IN_A_LINE, whole_lines
from .results_structure import GENERATION, PROBLEM, VERDICT
from .samples import mapping

MOST_BYTES = 512_000_000
"""Of a file of records; what comes after them is not read."""
MOST_SAMPLES = 160
MOST_PICTURE_BYTES = 12_000_000
"""Of all images of a page; later samples are shown without theirs."""
MOST_CHARACTERS = 6000
"""Of one answer."""

MOST_BESIDE = 1500
"""Of an answer shown beside another."""

KINDS = ("wrong", "right", "disagreeing", "blind", "failed")
"""What samples can be filtered by; `blind`: a blind view solves the problem too."""


@dataclass(frozen=True)
class ProtocolVerdict:
    """One protocol's verdict on an answer."""

    protocol: str
    correct: bool | None
    answer: str | None
    how: str
    why_not: str | None


@dataclass(frozen=True)
class GradedProblem:
    """One problem with its first answer, how it was judged, and what others made of it."""

    benchmark: str
    problem: str
    labels: str
    question: str
    choices: tuple[str, ...]
    gold: str
    text: str | None
    cut: int
    """Characters of the answer that are not shown."""
    truncated: bool
    failed: str | None
    verdicts: tuple[ProtocolVerdict, ...]
    others: str
    """How many of the problem's samples are right, if there are several."""
    beside: tuple[tuple[str, bool | None, str], ...]
    """Other answers to it: who gave them (a blind view, the other run), verdict, and text."""
    images: tuple[EmbeddedImage | None, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Samples:
    """The samples that a page shows, and what has to be said of the choice."""

    shown: tuple[GradedProblem, ...]
    counts: Mapping[str, int]
    """How many of those shown are of each kind."""
    total: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Case:
    """Everything stored about one problem."""

    problem: Mapping[str, Any]
    generations: Mapping[tuple[str, int], Mapping[str, Any]]
    """(view, sample) -> generation."""
    verdicts: Mapping[str, Mapping[tuple[str, int], Mapping[str, Any]]]
    """Protocol -> (view, sample) -> verdict."""
    folder: Path
    images: str
    """The folder inside `folder` that holds the kept images."""


def read_samples(path: Path, results: Mapping[str, Any]) -> Samples:
    """A choice of the stored samples: disagreements first, then what the blind solve, then wrong ones and
    the rest, spread evenly over the benchmarks."""
    headline = str(results.get("protocol"))
    *before, (folder, files) = _folders(path, results)
    notes: list[str] = []
    cases = _cases(folder, files, notes)
    earlier = {_key(case): case for other in before for case in _cases(*other, notes)}
    wanted = mapping(results.get("flips"))
    if before:
        cases = [c for c in cases if c.problem["id"] in wanted.get(str(c.problem["benchmark"]), ())]
    kinds = [_kinds(case, headline) for case in cases]
    chosen = _choice(kinds, [str(case.problem["benchmark"]) for case in cases])
    room = MOST_PICTURE_BYTES
    shown = []
    for index in chosen:
        case = cases[index]
        sample, used = _sample(case, earlier.get(_key(case)), kinds[index], headline, room)
        room -= used
        shown.append(sample)
    counts = {kind: sum(kind in sample.kinds for sample in shown) for kind in KINDS}
    left = sum(any(p is None for p in sample.images) for sample in shown)
    if left:
        notes.append(f"The images of {counted(left, 'sample')} were left out of this page.")
    return Samples(tuple(shown), counts, len(cases), tuple(notes))


def _folders(path: Path, results: Mapping[str, Any]) -> list[tuple[Path, Mapping[str, Any]]]:
    """The results folders with the names of their files; of a comparison A, then B, which is shown."""
    runs = results.get("runs")
    if not runs:
        return [(path, mapping(results.get("files")))]
    return [(Path(run["path"]), mapping(run["files"])) for run in runs]


def _key(case: _Case) -> tuple[str, str]:
    return str(case.problem["benchmark"]), str(case.problem["id"])


def _cases(folder: Path, files: Mapping[str, Any], notes: list[str]) -> list[_Case]:
    generations: dict[tuple[str, str], dict[tuple[str, int], Mapping[str, Any]]] = {}
    for row in _lines(folder, files.get("generations"), GENERATION, notes):
        key = row["benchmark"], row["problem"]
        generations.setdefault(key, {})[row["view"], row["sample"]] = row
    verdicts: dict[tuple[str, str], dict[str, dict[tuple[str, int], Mapping[str, Any]]]] = {}
    for protocol, name in mapping(files.get("scores")).items():
        for row in _lines(folder, name, VERDICT, notes):
            of = verdicts.setdefault((row["benchmark"], row["problem"]), {})
            of.setdefault(protocol, {})[row["view"], row["sample"]] = row
    return [
        _Case(row, generations[key], verdicts.get(key, {}), folder, str(files.get("images")))
        for row in _lines(folder, files.get("problems"), PROBLEM, notes)
        if ("sighted", 0) in generations.get(key := (row["benchmark"], row["id"]), {})
    ]


def _lines(folder: Path, name: Any, structure: Any, notes: list[str]) -> Iterator[dict[str, Any]]:
    """The records of a file inside the folder; what is none is left out and counted in the notes."""
    file = open_inside(folder, str(name))
    if file is None:
        return
    skipped = 0
    with file:
        for lines in whole_lines(file, MOST_BYTES):
            for line in filter(str.strip, lines):
                row = _record(line)
                if fault(row, structure) is None:
                    yield row
                else:
                    skipped += 1
        if file.read(1):
            notes.append(f"{name} has more than {MOST_BYTES:,} bytes; what comes after them was not read.")
    if skipped:
        notes.append(f"{name}: {counted(skipped, 'line')} damaged or none of ours were left out.")


def _record(line: str) -> Any:
    try:
        return parse_json(line) if len(line) <= MOST_IN_A_LINE else None
    except Refused:
        return None


def _kinds(case: _Case, headline: str) -> tuple[str, ...]:
    first = {protocol: found.get(("sighted", 0), {}) for protocol, found in case.verdicts.items()}
    correct = first.get(headline, {}).get("correct")
    kinds = ["failed" if correct is None else "right" if correct else "wrong"]
    if len({verdict.get("correct") for verdict in first.values()}) > 1:
        kinds.append("disagreeing")
    ours = case.verdicts.get(headline, {})
    if any(verdict.get("correct") for (view, _), verdict in ours.items() if view != "sighted"):
        kinds.append("blind")
    return tuple(kinds)


def _choice(kinds: Sequence[tuple[str, ...]], benchmarks: Sequence[str]) -> list[int]:
    """Up to `MOST_SAMPLES` places in order: a share for each kind, evenly spread."""
    chosen: dict[int, None] = {}
    for kind, most in (
        ("disagreeing", 48),
        ("blind", 40),
        ("failed", 16),
        ("wrong", 48),
        ("right", MOST_SAMPLES),
    ):
        of_kind = [i for i, found in enumerate(kinds) if kind in found and i not in chosen]
        room = min(most, MOST_SAMPLES - len(chosen), len(of_kind))
        for place in range(room):
            chosen[of_kind[place * len(of_kind) // room]] = None
    return sorted(chosen)


def _sample(
    case: _Case, earlier: _Case | None, kinds: tuple[str, ...], headline: str, room: int
) -> tuple[GradedProblem, int]:
    """A case as it is shown, and how many bytes its images take of the page."""
    first = case.generations["sighted", 0]
    images, used = _images(case, first, room)
    text = first.get("text")
    ours = case.verdicts.get(headline, {})
    sighted = [v.get("correct") for (view, _), v in ours.items() if view == "sighted"]
    problem = case.problem
    return GradedProblem(
        benchmark=str(problem["benchmark"]),
        problem=str(problem["id"]),
        labels=", ".join(str(value) for value in mapping(problem.get("labels")).values() if value),
        question=str(problem["question"]),
        choices=tuple(map(str, problem.get("choices") or ())),
        gold=" or ".join(map(str, [problem["answer"], *(problem.get("accepted") or ())])),
        text=None if text is None else text[:MOST_CHARACTERS],
        cut=max(0, len(text or "") - MOST_CHARACTERS),
        truncated=bool(first.get("truncated")),
        failed=first.get("failed"),
        verdicts=tuple(
            _judged(protocol, found["sighted", 0])
            for protocol, found in case.verdicts.items()
            if ("sighted", 0) in found
        ),
        others=f"{sum(map(bool, sighted))} of {len(sighted)} samples right" if len(sighted) > 1 else "",
        beside=tuple(
            _beside(f"blind, {view}", case, (view, sample), headline)
            for view, sample in case.generations
            if view != "sighted" and sample == 0
        )
        + ((_beside("A", earlier, ("sighted", 0), headline),) if earlier else ()),
        images=images,
        kinds=kinds,
    ), used


def _beside(who: str, case: _Case, which: tuple[str, int], headline: str) -> tuple[str, bool | None, str]:
    verdict = case.verdicts.get(headline, {}).get(which, {})
    text = str(case.generations[which].get("text") or "")
    return who, verdict.get("correct"), text[:MOST_BESIDE]


def _judged(protocol: str, row: Mapping[str, Any]) -> ProtocolVerdict:
    return ProtocolVerdict(
        protocol, row.get("correct"), row.get("answer"), str(row.get("how")), row.get("why_not")
    )


def _images(
    case: _Case, generation: Mapping[str, Any], room: int
) -> tuple[tuple[EmbeddedImage | None, ...], int]:
    found: list[EmbeddedImage | None] = []
    used = 0
    for name in generation.get("images") or ():
        address = _embedded(case, str(name), room - used)
        fits = address is not None and used + len(address) <= room
        found.append(embedded_image(address) if fits else None)
        used += len(address) if address is not None and fits else 0
    return tuple(found), used


def _embedded(case: _Case, name: str, room: int) -> str | None:
    """A kept image as a data address; None if it is not there, leads elsewhere, or is too large."""
    kind = {".png": "png", ".jpg": "jpeg"}.get(Path(name).suffix)
    file = None if kind is None or "/" in name else open_inside(case.folder, f"{case.images}/{name}")
    if file is None:
        return None
    with file:
        content = file.read(room) if signature(file).size < room else b""
    return data_address(content, kind) if content and kind else None
