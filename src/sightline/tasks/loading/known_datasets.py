"""Sets that need no settings, and how columns are found in the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ...errors import UserError, unknown_name


@dataclass(frozen=True)
class Columns:
    """Which column of a set holds what; None where it has none."""

    question: str
    answer: str
    images: str | None = None
    choices: str | None = None
    kind: str | None = None
    """A class of problem, for breakdowns."""

    def used(self) -> list[str]:
        """The columns that are read."""
        return [name for name in (self.question, self.answer, self.images, self.choices, self.kind) if name]


@dataclass(frozen=True)
class KnownSet:
    """A published set: its columns and splits, and what its rows look like."""

    columns: Columns
    train: str
    """Split that is trained on."""
    test: tuple[str, str] | None
    """Set and split that are held out by default."""
    rows: Mapping[str, int]
    """Rows of every split as its card gives them; what was loaded is said at run time."""
    answers: str
    markers: bool
    """Whether the question's text has `<image>` where the images belong."""
    revision: str | None = None
    """Commit that is loaded when none is asked for; None: the newest, whose commit is then reported."""


_PAPERS = Columns(question="problem", answer="answer", images="images")

KNOWN: dict[str, KnownSet] = {
    "PAPOGalaxy/PAPO_ViRL39K_train": KnownSet(
        _PAPERS,
        "train",
        ("PAPOGalaxy/PAPO_MMK12_test", "train"),
        {"train": 38_870},
        "letters, numbers, text",
        True,
    ),
    "chamber111/VPPO_ViRL39K_train": KnownSet(
        _PAPERS,
        "train",
        ("chamber111/VPPO_MMK12_validation", "train"),
        {"train": 38_870},
        "letters, numbers, text",
        True,
    ),
    "PAPOGalaxy/PAPO_MMK12_test": KnownSet(_PAPERS, "train", None, {"train": 2_000}, "letters", True),
    "chamber111/VPPO_MMK12_validation": KnownSet(_PAPERS, "train", None, {"train": 2_000}, "letters", True),
    "hiyouga/geometry3k": KnownSet(
        _PAPERS,
        "train",
        ("hiyouga/geometry3k", "test"),
        {"train": 2_101, "validation": 300, "test": 601},
        "numbers, expressions",
        True,
    ),
    "FanqingM/MMK12": KnownSet(
        Columns(question="question", answer="answer", images="image", kind="subject"),
        "train",
        ("FanqingM/MMK12", "test"),
        {"train": 15_616, "test": 2_000},
        "train: numbers, expressions; test: letters",
        False,
    ),
}

USUAL = {
    "question": ("problem", "question"),
    "answer": ("answer",),
    "images": ("images", "image", "file_name", "file_names"),
    "choices": ("choices", "options"),
}
"""Names under which the columns of an unknown set are looked for."""


def resolve_columns(given: Mapping[str, Any], present: Sequence[str], name: str) -> Columns:
    """The columns of a set: as `given`, the rest by their usual names if exactly one is present.

    Raises:
        UserError: a role or column is unknown, a needed one is missing, or the usual names are ambiguous.
    """
    roles = [field.name for field in fields(Columns)]
    for role, column in given.items():
        if role not in roles:
            raise unknown_name(f"role in columns of {name}:", str(role), roles)
        if column is not None and column not in present:
            raise unknown_name(f"column in {name}:", str(column), present)
    found: dict[str, Any] = dict(given)
    for role, usual in USUAL.items():
        candidates = [column for column in usual if column in present]
        if role in found or not candidates:
            continue
        if len(candidates) > 1:
            raise UserError(
                f"{name}: both {' and '.join(candidates)} could hold the {role}; say which, "
                f"such as columns: {{{role}: {candidates[0]}}}"
            )
        found[role] = candidates[0]
    missing = [role for role in ("question", "answer") if not found.get(role)]
    if missing:
        raise UserError(
            f"{name} has no column that is known to hold the {' or the '.join(missing)}; it has "
            f"{', '.join(present) or 'none'}. Say which, such as "
            "columns: {question: ..., images: ..., answer: ...}"
        )
    return Columns(**found)
