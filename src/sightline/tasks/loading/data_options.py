"""How rows become problems: what holds for every set of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import UserError

ON_BAD_ROW = ("error", "skip")


@dataclass(frozen=True)
class DataOptions:
    """Settings of a run that concern its data. Every default is here and nowhere else."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    """Role -> column, for sets that do not name their own: question, answer, images, choices, kind."""
    prompt_template: str | None = None
    """`papers` (None), `plain`, or a Jinja file."""
    system_prompt: str | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    """Bounds of width x height that every image is resized into; None leaves it to the model's processor."""
    on_bad_row: str = "error"
    """`error`: one unusable row stops the run before it starts. `skip`: such rows are left out and logged."""
    allow_urls: bool = False
    """Whether images behind public http(s) addresses are fetched."""
    streaming: bool = False
    """Read rows one after the other instead of from a cache on disk."""
    structured_golds: bool = False
    """Whether golds may be lists and mappings, which only rewards of the user's own can judge."""

    def __post_init__(self) -> None:
        if self.on_bad_row not in ON_BAD_ROW:
            raise UserError(f"on_bad_row must be {' or '.join(ON_BAD_ROW)}, got {self.on_bad_row!r}")
        for name in ("min_pixels", "max_pixels"):
            bound = getattr(self, name)
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int) or bound < 1):
                raise UserError(f"{name} must be a whole number of at least 1, got {bound!r}")
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise UserError(f"min_pixels {self.min_pixels} is above max_pixels {self.max_pixels}")
        if not isinstance(self.columns, Mapping):
            raise UserError(f"columns must be a mapping such as {{question: problem}}, got {self.columns!r}")
