"""The view that keeps the image where it is and lets nothing attend to it."""

from __future__ import annotations

from dataclasses import dataclass

from ..value_checks import one_of
from .view import Per, Stage, View


@dataclass(frozen=True, kw_only=True)
class TextOnly(View):
    """The same ids and positions with every image token hidden from attention (PGPO App. A.1).

    Not a removed or a blank image: positions are those of the full sequence, and the vision start and
    end markers stay visible. Only the description is here; the mechanics belong to the model.
    """

    name = "text_only"
    kind = "attention"
    per: Per = "prompt"
    stage: Stage = "after_resize"

    def __post_init__(self) -> None:
        one_of("prompt")("view text_only: per", self.per)
        one_of("after_resize")("view text_only: stage", self.stage)
