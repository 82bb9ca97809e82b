"""What files keep of a benchmark's problem; read again without the data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Item:
    """One problem of a benchmark without its images: what grading and statistics need."""

    id: str
    """Unique within the benchmark and stable for a revision: `name/row`."""
    question: str
    answer: str
    choices: tuple[str, ...]
    cluster: str
    labels: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    tolerance: float | None = None
    accepted: tuple[str, ...] = ()
    """Further answers that are as right."""
    rule: str | None = None
    """The benchmark's own rule, one of `row.Rule`."""
    fingerprints: tuple[str, ...] = ()
    """Names of its images, equal for equal pixels; of an image in one colour there is none."""

    @property
    def golds(self) -> tuple[str, ...]:
        """Every answer that is right, the gold first."""
        return (self.answer, *self.accepted)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            **vars(self),
            "choices": list(self.choices),
            "accepted": list(self.accepted),
            "fingerprints": list(self.fingerprints),
            "labels": dict(self.labels),
            "keys": dict(self.keys),
        }
