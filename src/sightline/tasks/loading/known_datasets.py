"""Sets that need no settings, and how columns are found in the others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from PIL.Image import Image

from ...errors import UserError, unknown_name


def column_of(path: str, present: Sequence[str] = ()) -> str:
    """The column that a path such as `reward_model.ground_truth` goes into."""
    return path if path in present else path.partition(".")[0]


@dataclass(frozen=True)
class Columns:
    """Which column of a set holds what; None where it has none."""

    question: str
    answer: str | None
    """None where `answers` holds all golds."""
    images: str | None = None
    choices: str | None = None
    kind: str | None = None
    """A class of problem, for breakdowns."""
    answers: str | None = None
    """A list of accepted answers; beside `answer`, those that are as right."""

    def used(self) -> list[str]:
        """The columns that are read."""
        named = (self.question, self.answer, self.images, self.choices, self.kind, self.answers)
        return list(dict.fromkeys(column_of(name) for name in named if name))


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


CONVERSATIONS = ("conversations", "messages", "prompt")
"""Columns that hold turns: the question, and the answer where nothing else does."""

GOLDS = ("solution", "reward_model.ground_truth", "ground_truth")
"""Where conversations' golds are looked for, the first that is there."""


def _by_conversation(present: Sequence[str]) -> dict[str, str]:
    """The columns of rows that are conversations; nothing if they are not."""
    turns = [column for column in CONVERSATIONS if column in present]
    if len(turns) != 1:
        return {}
    golds = [path for path in GOLDS if column_of(path, present) in present]
    return {"question": turns[0], "answer": golds[0] if golds else turns[0]}


def check_images_named(columns: Columns, given: Mapping[str, Any], row: Mapping[str, Any], name: str) -> None:
    """Refuse a set whose images lie in a column that nobody named: it would be asked without them.

    Raises:
        UserError: no column is known to hold images, and one of `row` looks as if it did.
    """
    if columns.images or "images" in given:
        return
    used = set(columns.used())
    found = [column for column, cell in row.items() if column not in used and looks_like_image(cell)]
    if found:
        raise UserError(
            f"{name}: no column is known to hold images, but {' and '.join(found)} "
            f"{'look' if len(found) > 1 else 'looks'} like it; say so with columns: {{images: {found[0]}}}, "
            "or columns: {images: null} to ask without images"
        )


def looks_like_image(cell: Any) -> bool:
    """Whether a cell is an image, its bytes, a path or data address of one, or a list of these."""
    if isinstance(cell, list | tuple):
        return bool(cell) and all(looks_like_image(one) for one in cell)
    if isinstance(cell, Image):
        return True
    if isinstance(cell, Mapping):
        return set(cell) >= {"bytes", "path"} and looks_like_image(cell["bytes"] or cell["path"])
    if isinstance(cell, bytes):
        return cell.startswith(_MAGIC)
    return isinstance(cell, str) and (cell.startswith("data:image/") or bool(_IMAGE_FILE.fullmatch(cell)))


_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
_IMAGE_FILE = re.compile(r"[^\n]{1,400}\.(?:png|jpe?g|webp|gif|bmp|tiff?)", re.IGNORECASE)


def resolve_columns(given: Mapping[str, Any], present: Sequence[str], name: str) -> Columns:
    """The columns of a set: as `given`, the rest by their usual names if exactly one is present.

    Raises:
        UserError: a role or column is unknown, a needed one is missing, or the usual names are ambiguous.
    """
    roles = [field.name for field in fields(Columns)]
    for role, column in given.items():
        if role not in roles:
            raise unknown_name(f"role in columns of {name}:", str(role), roles)
        if column is not None and column_of(str(column), present) not in present:
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
    if not found.get("answer") and "answers" not in found and "answers" in present:
        found["answers"] = "answers"
    if not found.get("question"):
        found = {**_by_conversation(present), **found}
    elif not found.get("answer") and not found.get("answers"):
        found = {**found, **{k: v for k, v in _by_conversation(present).items() if k == "answer"}}
    found.setdefault("answer", None)
    needed = {"question": found.get("question"), "answer": found["answer"] or found.get("answers")}
    missing = [role for role, column in needed.items() if not column]
    if missing:
        raise UserError(
            f"{name} has no column that is known to hold the {' or the '.join(missing)}; it has "
            f"{', '.join(present) or 'none'}. Say which, such as "
            "columns: {question: ..., images: ..., answer: ...}"
        )
    return Columns(**found)
