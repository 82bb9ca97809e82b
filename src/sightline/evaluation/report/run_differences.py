"""Settings and versions in which two runs differ, apart from the model, and which can change a score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCORING = ("decoding", "prompt", "backend", "server", "dtype", "device", "processor")
"""Settings that can change a model's answers."""
SCORING_LIBRARIES = (
    "sightline", "torch", "torchvision", "transformers", "tokenizers", "pillow", "numpy", "vllm",
    "math-verify",
)  # fmt: skip
"""Libraries that make pixels, tokens, answers or verdicts."""
MODEL = ("checkpoint", "weights")
"""Settings that say which model it was: they differ because the runs do."""
MOST_CUT_APART = 0.01
"""Shares of answers cut at the limit that are further apart than this are said."""


@dataclass(frozen=True)
class Differences:
    """Sentences about two runs."""

    scoring: tuple[str, ...]
    """What can change scores: a reader has to know it before the table."""
    others: tuple[str, ...]
    """The rest."""


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], shared: Sequence[str]) -> Differences:
    """What the settings (`config.yaml`) of two runs do not share; `shared`: the benchmarks of both."""
    scoring = [*_settings(ours, theirs, SCORING), *_protocols(ours, theirs), *_sets(ours, theirs, shared)]
    others: list[str] = []
    seeds = ours.get("seed"), theirs.get("seed")
    if seeds[0] != seeds[1]:
        sampled = any(_mapping(run.get("decoding")).get("temperature") for run in (ours, theirs))
        note = f"The runs differ in seed: {seeds[0]} and {seeds[1]}."
        (scoring if sampled else others).append(note)
    changing, rest = _libraries(ours, theirs)
    scoring += [f"The runs differ in libraries: {', '.join(changing)}."] if changing else []
    revisions = ours.get("git_revision"), theirs.get("git_revision")
    if revisions[0] != revisions[1]:
        scoring.append(
            f"The runs differ in Sightline's revision: {_said(revisions[0])} and {_said(revisions[1])}."
        )
    others += [f"Libraries that no score depends on: {', '.join(rest)}."] if rest else []
    if ours.get("model") == theirs.get("model"):
        others += _settings(ours, theirs, MODEL)
    return Differences(tuple(scoring), tuple(others))


def cut_apart(name: str, ours: float | None, theirs: float | None) -> str | None:
    """A sentence on the shares of answers that were cut at the limit, if they are apart."""
    if ours is None or theirs is None or abs(ours - theirs) <= MOST_CUT_APART:
        return None
    return (
        f"{name}: {100 * ours:.1f} % of A's answers and {100 * theirs:.1f} % of B's were cut at the limit of "
        "tokens; a longer limit may change the difference."
    )


def _settings(ours: Mapping[str, Any], theirs: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [
        f"The runs differ in {name}: {_differing(ours.get(name), theirs.get(name))}."
        for name in names
        if ours.get(name) != theirs.get(name)
    ]


def _protocols(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    said = [run.get("protocol") for run in (ours, theirs)]
    if said[0] != said[1]:
        yield f"The runs were reported under other protocols: {_said(said[0])} and {_said(said[1])}."


def _sets(ours: Mapping[str, Any], theirs: Mapping[str, Any], shared: Sequence[str]) -> Iterator[str]:
    for name in shared:
        about = [_mapping(_mapping(run.get("sets")).get(name)) for run in (ours, theirs)]
        parts = [
            f"{key} {_said(about[0].get(key))} and {_said(about[1].get(key))}"
            for key in ("source", "config", "splits", "revision", "used")
            if about[0].get(key) != about[1].get(key)
        ]
        if parts:
            yield f"{name}: the runs differ in the set: {', '.join(parts)}."


def _libraries(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    first, second = (_mapping(run.get("versions")) for run in (ours, theirs))
    found: tuple[list[str], list[str]] = ([], [])
    for name in dict.fromkeys([*first, *second]):
        if first.get(name) != second.get(name):
            said = f"{name} {_said(first.get(name))} and {_said(second.get(name))}"
            found[name not in SCORING_LIBRARIES].append(said)
    return found


def _differing(ours: Any, theirs: Any) -> str:
    """What is not the same of two settings: `samples 1 and 8, temperature 0.0 and 1.0`."""
    if not (isinstance(ours, Mapping) and isinstance(theirs, Mapping)):
        return f"{_said(ours)} and {_said(theirs)}"
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return ", ".join(f"{name} {_differing(ours.get(name), theirs.get(name))}" for name in names)


def _said(value: Any) -> str:
    return "not said" if value is None else str(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
